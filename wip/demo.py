from buscomp.curation.demo_songs import DEMO_SONGS, render_song
from buscomp.curation.synthesis import SAMPLE_RATE
from buscomp.annotation.key import estimate_key
from buscomp.annotation.tempo import estimate_tempo
import numpy as np
for s in DEMO_SONGS:
    a=render_song(s).astype(np.float32); k=estimate_key(a,SAMPLE_RATE); t=estimate_tempo(a,SAMPLE_RATE)
    print(s.name,s.key,k.name,round(k.confidence,2),s.tempo_bpm,round(t.bpm,2),round(t.confidence,2),flush=True)
