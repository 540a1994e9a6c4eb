import numpy as np,glob,os,sys
from pathlib import Path
from buscomp.annotation import onsets,chroma
Path("/tmp/b5/feat").mkdir(exist_ok=True)
fs=sorted(glob.glob("/tmp/b5/audio/*.npy"))
for f in fs:
    o=Path("/tmp/b5/feat")/(Path(f).stem+".npz")
    if o.exists(): continue
    a=np.load(f).astype(np.float32)/32768
    if len(a)<8*22050: continue
    e=onsets.onset_bands(a); np.savez(o,c=onsets.correlations(e).astype(np.float32),p=chroma.pitch_classes(a).astype(np.float32),e=e.astype(np.float16))
