"""The gallery: a page in the archive that shows what it holds, in any browser, from disk.

`index.html` stands beside `data/`; everything else that it needs is in `.archiver/browse/`. It
loads scripts, images and videos from its own directory, and asks no server for anything.
"""
