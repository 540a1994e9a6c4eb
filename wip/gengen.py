import sys,json;sys.path.insert(0,"/tmp/i4/tests/benchmarks")
from scripted_songs import *
with open("/tmp/b5/gen.jsonl","w") as h:
    for i in list(range(240)):
        w=write_song(Path(f"/tmp/b5/gen/gen{i:04d}.mid"),i,36); h.write(json.dumps(dict(id=f"gen{i:04d}",midi=str(w.path),bpm=w.bpm,key=w.key,style=w.style))+"\n")
