//go:build !unix

package ident

func keyOf(any) (Key, bool) { return Key{}, false }
