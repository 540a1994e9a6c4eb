import struct,glob
for w in ("freedoom1","freedoom2"):
    d=open(f"/tmp/b5/deb/x/usr/share/games/doom/{w}.wad","rb").read()
    n,o=struct.unpack("<ii",d[4:12])
    seen=set()
    for i in range(n):
        p,s,name=struct.unpack("<ii8s",d[o+16*i:o+16*i+16]); name=name.rstrip(b"\0").decode("latin1")
        if d[p:p+4]==b"MThd": open(f"/tmp/b5/fd/{w}-{name}.mid","wb").write(d[p:p+s])
