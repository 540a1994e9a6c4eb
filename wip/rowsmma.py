# the jsonl is only written at the end: rebuild rows without running mma (same random stream)
import sys,json; sys.path.insert(0,"/tmp/b5"); import mmagen,random,numpy as np,re
from pathlib import Path
G=mmagen.grooves(); rows=[]
for p in sorted(Path("/tmp/b5/mma").glob("*.mid")):
    i=int(p.stem[3:]); r=random.Random(900+i); f,n,time,g=G[(i*37)%len(G)]
    t=(p.with_suffix(".mma")).read_text().splitlines(); bpm=float(t[0].split()[1])
    mid=(112,.2)
    for k,v in mmagen.RANGES:
        if re.search(k,n): mid=v; break
    r.gauss(0,1); mode=r.choice(["major","minor"]); ton=r.randrange(12)
    last=t[-1].split()[1]; assert last.startswith(mmagen.TONICS[ton]),(last,ton)
    rows.append(dict(id=p.stem,bpm=bpm,key=f"{mmagen.TONICS[ton]} {mode}",style=n,lib=f.parent.name,time=time))
json.dump(rows,open("/tmp/b5/mmarows.json","w")); print(len(rows),rows[5])
