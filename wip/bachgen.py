import music21 as m, json, sys, re, os, random
from pathlib import Path
out=Path("/tmp/b5/bach"); out.mkdir(exist_ok=True)
root=Path(m.__file__).parent/"corpus/bach"
T={0:"C",1:"C#",2:"D",3:"Eb",4:"E",5:"F",6:"F#",7:"G",8:"Ab",9:"A",10:"Bb",11:"B"}
rows=[]; ana={}
for f in sorted((root/"choraleAnalyses").glob("*.rntxt")):
    t=f.read_text(); k=re.search(r"^m\d+\s+(?:b\d+\s+)?([A-Ga-g][#b-]?):",t,re.M).group(1)
    piece=re.search(r"Piece:.*",t); ana[int(f.stem[-3:])]=(k,piece and piece.group(0))
rie={}
from music21.corpus.chorales import ChoraleListRKBWV
cl=ChoraleListRKBWV().byRiemenschneider
tests={str(cl[n]["bwv"]):n for n in ana}
r=random.Random(3)
todo=[(f"test{n:03d}",str(cl[n]["bwv"]),ana[n][0]) for n in ana]
others=[str(cl[n]["bwv"]) for n in sorted(cl) if str(cl[n]["bwv"]) not in tests]
r.shuffle(others); todo+=[(f"dev{i:03d}",b,None) for i,b in enumerate(others[:int(sys.argv[1])])]
prog=[[73,68,71,70],[40,40,41,42],[19]*4,[0]*4,[56,56,57,58],[52]*4,[48]*4]
for i,(name,b,k) in enumerate(todo):
    try: s=m.corpus.parse(f"bwv{b}")
    except Exception as e: print(b,e); continue
    if k is None:
        ks=[x for x in s.parts[0].recurse().getElementsByClass("KeySignature")]
        fin=s.parts[-1].recurse().notes.last(); pc=fin.pitches[0].pitchClass
        sh=ks[0].sharps; maj=(7*sh)%12; mn=(maj+9)%12
        if pc==maj: key=T[pc]+" major"
        elif pc==mn: key=T[pc]+" minor"
        elif pc==(maj+2)%12: key=T[pc]+" minor"   # dorian signature
        else: continue
    else:
        pc=m.pitch.Pitch(k.upper()[0]+k[1:].replace("b","-")).pitchClass; key=T[pc]+(" minor" if k[0].islower() else " major")
    bpm=r.choice([72,80,88,96,104])
    for p in s.parts[:1]:
        for x in list(s.recurse().getElementsByClass("MetronomeMark")): x.activeSite.remove(x)
    P=prog[0] if k else r.choice(prog)
    for j,p in enumerate(s.parts):
        for x in list(p.recurse().getElementsByClass("Instrument")): x.activeSite.remove(x)
        ins=m.instrument.Instrument(); ins.midiProgram=P[min(j,3)]; p.insert(0,ins)
    s.insert(0,m.tempo.MetronomeMark(number=bpm))
    fn=out/f"{name}.mid"; 
    try: s.write("midi",fp=str(fn))
    except Exception as e: print(b,e); continue
    rows.append(dict(id="bach"+name,midi=str(fn),key=key,bpm=None,bwv=b)); json.dump(rows,open("/tmp/b5/bach.json","w"))
json.dump(rows,open("/tmp/b5/bach.json","w")); print(len(rows))
