package store

// maxChain is how many deltas may stand upon one another; git makes chains of at most 4095.
const maxChain = 4096

// deltaSizes reads the two lengths a delta begins with: of its base and of its result, in bytes.
func deltaSizes(delta []byte) (src, dst int64, rest []byte, err error) {
	if src, delta, err = deltaLen(delta); err != nil {
		return 0, 0, nil, err
	}
	if dst, delta, err = deltaLen(delta); err != nil {
		return 0, 0, nil, err
	}
	return src, dst, delta, nil
}

func deltaLen(b []byte) (int64, []byte, error) {
	var n int64
	for i, c := range b {
		if i >= 9 {
			break
		}
		n |= int64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, b[i+1:], nil
		}
	}
	return 0, nil, corruptf("delta has a bad length")
}

// patch applies delta to base. The result is a new slice.
func patch(base, delta []byte) ([]byte, error) {
	src, dst, ops, err := deltaSizes(delta)
	if err != nil {
		return nil, err
	}
	if src != int64(len(base)) {
		return nil, corruptf("delta is for a base of %d bytes, not %d", src, len(base))
	}
	if dst > maxMemoryObject {
		return nil, corruptf("delta result of %d bytes is over the limit of %d", dst, maxMemoryObject)
	}
	out := make([]byte, 0, dst)
	for len(ops) > 0 {
		op := ops[0]
		ops = ops[1:]
		if op&0x80 == 0 {
			n := int(op)
			if n == 0 || n > len(ops) || len(out)+n > int(dst) {
				return nil, corruptf("delta inserts past its end")
			}
			out = append(out, ops[:n]...)
			ops = ops[n:]
			continue
		}
		var off, n int
		for i := range 7 {
			if op&(1<<i) == 0 {
				continue
			}
			if len(ops) == 0 {
				return nil, corruptf("delta is cut")
			}
			if i < 4 {
				off |= int(ops[0]) << (8 * i)
			} else {
				n |= int(ops[0]) << (8 * (i - 4))
			}
			ops = ops[1:]
		}
		if n == 0 {
			n = 0x10000
		}
		if off+n > len(base) || len(out)+n > int(dst) {
			return nil, corruptf("delta copies past its base")
		}
		out = append(out, base[off:off+n]...)
	}
	if int64(len(out)) != dst {
		return nil, corruptf("delta makes %d bytes, not %d", len(out), dst)
	}
	return out, nil
}
