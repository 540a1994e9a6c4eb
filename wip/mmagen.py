"""MMA songs: style x tempo x key, with a melody of own writing."""
import re,subprocess,json,os,sys,random
import numpy as np, mido
from pathlib import Path
TONICS=("C","C#","D","Eb","E","F","F#","G","Ab","A","Bb","B")
RANGES=[("dnb",(170,.04)),("trance|techno|rave",(136,.06)),("house|dance|disco",(124,.05)),("hip|trip|thr",(90,.09)),
("bebop|fast",(190,.12)),("vienese",(180,.08)),("slow",(74,.14)),("ballad|lullaby|serenade|bald",(74,.14)),("16beat|beat16",(88,.13)),
("waltz|34",(118,.2)),("bigband|swing|jazz|western",(138,.22)),("charleston|dixie|ragtime|quickstep|boggie|boogie",(180,.15)),
("metal|punk|mtl|hrk",(144,.16)),("funk|strut|rb|r.b|soul|motown",(100,.13)),("reggae",(76,.1)),("ska",(130,.1)),
("samba|merengue|salsa|mambo|son|calypso|zydeco",(106,.15)),("bossa|rhumba|beguine|bolero|chacha|tango",(116,.15)),
("march|polka|foxtrot",(116,.1)),("rock|twist|jive",(124,.15)),("blues",(96,.25)),("hymn|spiritual|ambient",(84,.15)),("country|blueg|folk|hill",(108,.18))]
def grooves():
    out=[]
    L=Path("/usr/share/mma/lib")
    for f in sorted(L.glob("*/*.mma")):
        n=f.stem.lower()
        if re.search("metronome|none|68|128|count|ending|intro|mide|desert|-54",n): continue
        t=f.read_text(errors="replace")
        if re.search("double",t,re.I) and f.parent.name=="stdlib" and re.search("polka|quick|goes|dixie|march",n): continue
        m=re.search(r"^\s*Time\s+(\d+)",t,re.M); time=int(m.group(1)) if m else 4
        if time not in(3,4): continue
        names=re.findall(r"^\s*DefGroove\s+(\S+)",t,re.M)
        names=[x for x in names if not re.search("intro|end|fill",x,re.I)]
        for x in names[:3]: out.append((f,n,time,x))
    return out
PM=["I V vi IV","I vi IV V","I IV V I","I IV vi V","vi IV I V","I ii V I","ii V I I","I iii IV V","I V IV I","I vi ii V","I IV I V"]
Pm=["i VI III VII","i iv V i","i VI VII i","i iv VI V","i VII VI V","i iv i V","i v VI iv","i III VII VI","i VI iv V","i ii V i"]
DEG={"major":{"I":(0,""),"ii":(2,"m"),"iii":(4,"m"),"IV":(5,""),"V":(7,""),"vi":(9,"m")},
"minor":{"i":(0,"m"),"ii":(2,"dim"),"III":(3,""),"iv":(5,"m"),"v":(7,"m"),"V":(7,""),"VI":(8,""),"VII":(10,"")}}
SC={"major":(0,2,4,5,7,9,11),"minor":(0,2,3,5,7,8,10)}
def make(i,out):
    r=random.Random(900+i); G=grooves()
    f,n,time,g=G[(i*37)%len(G)] if i<len(G)*5 else r.choice(G)
    mid=(112,.2)
    for k,v in RANGES:
        if re.search(k,n): mid=v; break
    bpm=round(min(210,max(50,mid[0]*np.exp(mid[1]*r.gauss(0,1)))),1)
    mode=r.choice(["major","minor"]); ton=r.randrange(12)
    bars=max(8,int(34*bpm/60/time/4+1)*4)
    A=r.choice(PM if mode=="major" else Pm).split(); B=r.choice(PM if mode=="major" else Pm).split()
    lines=[];roots=[]
    flat={"C#":"C#","Eb":"Eb","Ab":"Ab","Bb":"Bb","F#":"F#"}
    for b in range(bars):
        p=A if (b//8)%3!=2 else B
        d=p[b%len(p)]
        if b==bars-1: d="I" if mode=="major" else "i"
        s,q=DEG[mode][d]
        if q=="" and d=="V" and r.random()<.4:q="7"
        if r.random()<.15 and q in("","m") : q={"":"M7" if d!="V" else "7","m":"m7"}[q]
        roots.append((ton+s)%12); lines.append(f"{b+1} {TONICS[(ton+s)%12]}{q}")
    stem=out/f"mma{i:04d}"
    stem.with_suffix(".mma").write_text(f"Tempo {bpm}\nGroove {f.parent.name}:{f.relative_to(f.parents[1]).with_suffix('')}:{g}\n".replace(f"{f.parent.name}:{f.parent.name}/",f"{f.parent.name}/").replace(f"{f.parent.name}:","",1) + "\n".join(lines)+"\n")
    p=subprocess.run(["mma","-w","-0","-f",str(stem.with_suffix(".mid")),str(stem.with_suffix(".mma"))],capture_output=True,text=True)
    if p.returncode or not stem.with_suffix(".mid").exists(): return dict(err=(p.stdout+p.stderr)[-300:],groove=g,file=str(f))
    m=mido.MidiFile(stem.with_suffix(".mid")); tp=m.ticks_per_beat
    if r.random()<.65: # melody
        ev=[];sc=SC[mode]; base=r.choice([60,67,72]); prog=r.choice([0,11,22,24,26,40,56,60,65,66,68,71,73,75,80,81])
        ts=r.choice([(1,1,2),(.5,.5,1,1,2),(.5,1),(.25,.5,.5,1)])
        for b in range(bars):
            if r.random()<.2: continue
            t=0
            while t<time:
                l=r.choice(ts)
                x=(roots[b]+r.choice([0,0,7,3 if (roots[b]+3-ton)%12 in sc else 4]))%12 if t==0 or r.random()<.3 else (ton+r.choice(sc))%12
                if r.random()<.85:
                    a=max(0,int((b*time+t+r.gauss(0,.01))*tp)); nt=base+(x-base)%12
                    ev+= [(a,1,nt),(a+max(10,int(l*.85*tp)),0,nt)]
                t+=l
        ev.sort(key=lambda e:(e[0],e[1])); tr=mido.MidiTrack([mido.Message("program_change",channel=14,program=prog)]); now=0; v=r.randrange(65,110)
        for a,on,nt in ev: tr.append(mido.Message("note_on",channel=14,note=nt,velocity=v if on else 0,time=a-now)); now=a
        m.tracks.append(tr); m.save(stem.with_suffix(".mid"))
    return dict(id=stem.name,midi=str(stem.with_suffix(".mid")),bpm=bpm,key=f"{TONICS[ton]} {mode}",style=n,lib=f.parent.name,groove=g,time=time)
if __name__=="__main__":
    out=Path("/tmp/b5/mma");out.mkdir(exist_ok=True)
    rows=[]
    for i in range(int(sys.argv[1]),int(sys.argv[2])):
        x=make(i,out); 
        if "err" in x: print(x)
        else: rows.append(x)
    with open("/tmp/b5/mma.jsonl","a") as h:
        for x in rows: h.write(json.dumps(x)+"\n")
    print(len(grooves()),len(rows))
