package ident

import "io/fs"

// Of returns the key of a file that was looked at by os.Stat or os.Lstat.
func Of(info fs.FileInfo) (Key, bool) { return keyOf(info.Sys()) }
