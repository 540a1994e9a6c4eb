"""id -> /tmp/b5/audio/<id>.npy int16 mono 22050, <= 45 s."""
import sys,json,subprocess,os,numpy as np,soundfile,hashlib
from pathlib import Path
SF={"fluid":"/usr/share/sounds/sf2/FluidR3_GM.sf2","muse":"/usr/share/sounds/sf3/MuseScore_General_Lite.sf3","opl":"/usr/share/sounds/sf2/OPL-3_FM_128M.sf2","tim":"/usr/share/sounds/sf2/TimGM6mb.sf2"}
def render(id,midi,sf,seconds=45):
    o=Path(f"/tmp/b5/audio/{id}.npy")
    if o.exists(): return
    o.parent.mkdir(exist_ok=True)
    w=f"/tmp/b5/tmp-{os.getpid()}.wav"
    subprocess.run(["timeout","60","fluidsynth","-ni","-q","-g","0.2",*(["-R","0","-C","0"] if hash(id)%2 else []),"-r","22050","-T","wav","-O","s16","-F",w,SF[sf],midi],check=True,stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL)
    a,sr=soundfile.read(w,dtype="float32",frames=45*22050); m=a.mean(1); m/=max(1e-6,abs(m).max())
    np.save(o,(m*30000).astype(np.int16)); os.unlink(w)
if __name__=="__main__":
    for line in open(sys.argv[1]):
        r=json.loads(line); h=int(hashlib.md5(r["id"].encode()).hexdigest(),16)%20
        try: render(r["id"],r["midi"],r.get("sf") or ("fluid" if h<15 else "opl"))
        except Exception as e: print(r["id"],e,flush=True)
