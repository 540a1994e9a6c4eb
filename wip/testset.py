import sys,json,glob,subprocess;sys.path.insert(0,"/tmp/i4/tests/benchmarks");sys.path.insert(0,"/tmp/b5")
from scripted_songs import *
from render import render
import mido
rows=[]
for k in range(40):
    i=1000+7*k
    w=write_song(Path(f"/tmp/b5/gen/tgen{i}.mid"),i,40); sf="tim" if k%2 else "fluid"
    rows.append(dict(id=f"tgen{i}",midi=str(w.path),bpm=w.bpm,key=w.key,style=w.style,sf=sf))
def dominant(f):
    m=mido.MidiFile(f); ev=[]; 
    t=0;tempo=500000;spans={}
    for x in mido.merge_tracks(m.tracks):
        d=mido.tick2second(x.time,m.ticks_per_beat,tempo); spans[tempo]=spans.get(tempo,0)+d
        if x.type=="set_tempo": tempo=x.tempo
    b=max(spans,key=spans.get); return 6e7/b, spans[b]/max(1e-9,sum(spans.values()))
for f in sorted(glob.glob("/tmp/b5/deb/x/usr/share/games/openttd/baseset/openmsx/*.mid")):
    b,s=dominant(f); 
    if s>=.9: rows.append(dict(id="omsx"+Path(f).stem,midi=f,bpm=b,key=None,sf="fluid"))
json.dump(rows,open("/tmp/b5/testrows.json","w")); print(len(rows))
fd=[]
for f in sorted(glob.glob("/tmp/b5/fd/*.mid")):
    b,s=dominant(f); fd.append(dict(id="fd-"+Path(f).stem,bpm=b if s>=.9 else None,key=None))
json.dump(fd,open("/tmp/b5/fdrows.json","w"))
for r in rows[::-1]: 
    try: render(r["id"],r["midi"],r["sf"])
    except Exception as e: print(r["id"],e)
