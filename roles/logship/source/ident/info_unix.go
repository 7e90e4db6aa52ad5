//go:build unix

package ident

import "syscall"

func keyOf(sys any) (Key, bool) {
	st, ok := sys.(*syscall.Stat_t)
	if !ok {
		return Key{}, false
	}
	return Key{Dev: uint64(st.Dev), Ino: st.Ino}, true
}
