"""Media: are these bytes one whole video?"""
