"""The program: command line, configuration, log, signals; puts the relay together from its parts.

This floor alone prints, exits, reads files and sees `sys.argv`.
"""
