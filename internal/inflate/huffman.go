package inflate

import "math/bits"

// Entries of the tables: bits 0-5 the code's length, 8-12 extra bits that follow, 13-15 flags, 16-31 the value (a
// literal, the base of a length or distance, or where the second table begins). Length 0 is no code.

var (
	lengthBase  = [...]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [...]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [...]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	codeOrder   = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

func litEntry(sym int) uint32 {
	switch {
	case sym < 256:
		return uint32(sym)<<16 | flagLiteral
	case sym == 256:
		return flagEnd
	case sym-257 < len(lengthBase):
		return uint32(lengthBase[sym-257])<<16 | uint32(lengthExtra[sym-257])<<8
	}
	return 0
}

func distEntry(sym int) uint32 {
	if sym >= len(distBase) {
		return 0
	}
	return uint32(distBase[sym])<<16 | uint32(distExtra[sym])<<8
}

func (f *Decoder) fixed() error {
	for i := range 288 {
		switch {
		case i < 144:
			f.lens[i] = 8
		case i < 256:
			f.lens[i] = 9
		case i < 280:
			f.lens[i] = 7
		default:
			f.lens[i] = 8
		}
	}
	if err := build(f.lit[:], litBits, f.lens[:288], litEntry); err != nil {
		return err
	}
	for i := range 30 {
		f.lens[i] = 5
	}
	f.block = inCodes
	return build(f.dist[:], distBits, f.lens[:30], distEntry)
}

func (f *Decoder) dynamic() error {
	h, err := f.bits(14)
	if err != nil {
		return err
	}
	nlit, ndist, ncode := int(h&31)+257, int(h>>5&31)+1, int(h>>10)+4
	if nlit > 286 || ndist > 30 {
		return corruptf("bad deflate code counts")
	}
	var codeLens [19]uint8
	for i := range ncode {
		v, err := f.bits(3)
		if err != nil {
			return err
		}
		codeLens[codeOrder[i]] = uint8(v)
	}
	// The small code shares the distance table, which is built last.
	if err := build(f.dist[:], distBits, codeLens[:], func(sym int) uint32 { return uint32(sym)<<16 | flagLiteral }); err != nil {
		return err
	}
	if err := f.readLens(nlit + ndist); err != nil {
		return err
	}
	if f.lens[256] == 0 {
		return corruptf("deflate block has no end")
	}
	if err := build(f.lit[:], litBits, f.lens[:nlit], litEntry); err != nil {
		return err
	}
	f.block = inCodes
	return build(f.dist[:], distBits, f.lens[nlit:nlit+ndist], distEntry)
}

// readLens reads n code lengths by the small code that stands in the distance table.
func (f *Decoder) readLens(n int) error {
	for i := 0; i < n; {
		// A code has at most 7 bits, but the table is indexed by more; the bits behind may belong to what follows.
		for f.nbits < distBits {
			b, err := f.src.Byte()
			if err != nil {
				return err
			}
			f.hold |= uint64(b) << f.nbits
			f.nbits += 8
		}
		e := f.dist[f.hold&(1<<distBits-1)]
		used := uint(e & 0x3f)
		if used == 0 {
			return corruptf("bad code length code")
		}
		f.hold >>= used
		f.nbits -= used
		sym := uint8(e >> 16)
		if sym < 16 {
			f.lens[i] = sym
			i++
			continue
		}
		width, least, fill := uint(2), 3, uint8(0)
		switch sym {
		case 16:
			if i == 0 {
				return corruptf("code length repeats nothing")
			}
			fill = f.lens[i-1]
		case 17:
			width = 3
		default:
			width, least = 7, 11
		}
		v, err := f.bits(width)
		if err != nil {
			return err
		}
		count := least + int(v)
		if i+count > n {
			return corruptf("too many code lengths")
		}
		for range count {
			f.lens[i] = fill
			i++
		}
	}
	return nil
}

// build fills a table for the canonical code with these lengths: codes of at most width bits directly, longer ones
// through a second table behind the first.
func build(table []uint32, width uint, lens []uint8, entry func(int) uint32) error {
	var count [16]int
	for _, l := range lens {
		count[l]++
	}
	count[0] = 0
	var next [17]int
	code := 0
	for l := 1; l < 16; l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
		if code+count[l] > 1<<l {
			return corruptf("deflate code is oversubscribed")
		}
	}
	clear(table[:1<<width])
	free := 1 << width
	for sym, l := range lens {
		if l == 0 {
			continue
		}
		c := int(bits.Reverse16(uint16(next[l])) >> (16 - l))
		next[l]++
		e := entry(sym)
		if e == 0 {
			continue
		}
		if uint(l) <= width {
			for i := c; i < 1<<width; i += 1 << l {
				table[i] = e | uint32(l)
			}
			continue
		}
		var err error
		if free, err = long(table, width, free, c, uint(l), e, &count); err != nil {
			return err
		}
	}
	return nil
}

// long puts one code of more than width bits into its second table, which is made when its first code comes.
func long(table []uint32, width uint, free, c int, l uint, e uint32, count *[16]int) (int, error) {
	low := c & (1<<width - 1)
	if table[low] == 0 {
		sub := subBits(width, count)
		if free+1<<sub > len(table) {
			return free, corruptf("deflate code needs too large a table")
		}
		clear(table[free : free+1<<sub])
		table[low] = uint32(free)<<16 | uint32(sub)<<8 | flagSub
		free += 1 << sub
	}
	at, sub := int(table[low]>>16), uint(table[low]>>8&0x1f)
	for i := c >> width; i < 1<<sub; i += 1 << (l - width) {
		table[at+i] = e | uint32(l)
	}
	return free, nil
}

// subBits is the width of the second tables: enough for the longest code there is.
func subBits(width uint, count *[16]int) uint {
	for l := uint(15); l > width; l-- {
		if count[l] > 0 {
			return l - width
		}
	}
	return 0
}
