package blackbox

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// reply is a DNS message, as much of it as a probe looks at.
type reply struct {
	id       uint16
	flags    uint16
	sections [3][]record // answer, authority, additional
}

type record struct {
	kind   uint16
	text   string // as a zone file has it: name, seconds, class, type and data, with tabs between
	serial uint32 // of an SOA
}

var errMessage = errors.New("the answer is no DNS message")

// appendQuestion appends a query.
func appendQuestion(dst []byte, id uint16, recurse bool, name string, kind, class uint16) ([]byte, error) {
	flags := uint16(0)
	if recurse {
		flags = 1 << 8
	}
	for _, n := range []uint16{id, flags, 1, 0, 0, 0} {
		dst = binary.BigEndian.AppendUint16(dst, n)
	}
	start := len(dst)
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if name == "." {
			break
		}
		if len(label) == 0 || len(label) > 63 {
			return nil, fmt.Errorf("%q is no name of the DNS", name)
		}
		dst = append(append(dst, byte(len(label))), label...)
	}
	dst = append(dst, 0)
	if len(dst)-start > 255 {
		return nil, fmt.Errorf("%q is too long for a name of the DNS", name)
	}
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, kind), class), nil
}

// reader reads a message. Once something is wrong it is done, and bad.
type reader struct {
	msg []byte
	at  int
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.msg)-r.at {
		r.bad = true
		return make([]byte, min(n, 4))
	}
	r.at += n
	return r.msg[r.at-n : r.at]
}

func (r *reader) u8() int     { return int(r.bytes(1)[0]) }
func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.bytes(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.bytes(4)) }

// name reads a name. Pointers point backwards only, so it ends.
func (r *reader) name() string {
	var b strings.Builder
	at, end, limit := r.at, -1, r.at
	for !r.bad {
		if at >= len(r.msg) || b.Len() > 1024 {
			r.bad = true
			break
		}
		n := int(r.msg[at])
		at++
		switch {
		case n == 0:
			if end < 0 {
				end = at
			}
			r.at = end
			if b.Len() == 0 {
				return "."
			}
			return b.String()
		case n < 64 && at+n <= len(r.msg):
			escape(&b, r.msg[at:at+n], ".")
			b.WriteByte('.')
			at += n
		case n >= 192 && at < len(r.msg):
			to := (n&63)<<8 | int(r.msg[at])
			if end < 0 {
				end = at + 1
			}
			if to >= limit {
				r.bad = true
			}
			at, limit = to, to
		default:
			r.bad = true
		}
	}
	return ""
}

// escape writes bytes as a zone file has them; special are those that get a backslash.
func escape(b *strings.Builder, data []byte, special string) {
	for _, c := range data {
		switch {
		case c == '\\' || c == '"' || strings.IndexByte(special, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
}

// parseReply reads a message.
func parseReply(msg []byte) (reply, error) {
	r := &reader{msg: msg}
	m := reply{id: r.u16(), flags: r.u16()}
	questions := int(r.u16())
	counts := [3]int{int(r.u16()), int(r.u16()), int(r.u16())}
	for i := 0; i < questions && !r.bad; i++ {
		r.name()
		r.bytes(4)
	}
	for i, n := range counts {
		for j := 0; j < n && !r.bad; j++ {
			m.sections[i] = append(m.sections[i], r.record())
		}
	}
	if r.bad || m.flags>>15 == 0 {
		return reply{}, errMessage
	}
	return m, nil
}

func (r *reader) record() record {
	name := r.name()
	rec := record{kind: r.u16()}
	class, ttl, size := r.u16(), r.u32(), int(r.u16())
	if r.bad || size > len(r.msg)-r.at {
		r.bad = true
		return rec
	}
	// Data is read within its bounds; names in it may point back to anything before.
	in := &reader{msg: r.msg[:r.at+size], at: r.at}
	data := in.data(&rec)
	if in.bad || in.at != len(in.msg) {
		data = `\# ` + strconv.Itoa(size) + " " + hex.EncodeToString(r.msg[r.at:r.at+size])
	}
	r.at += size
	rec.text = fmt.Sprintf("%s\t%d\t%s\t%s\t%s", name, ttl, nameOf(classNames(), class, "CLASS"), nameOf(typeNames(), rec.kind, "TYPE"), data)
	return rec
}

// data reads what a record says. What it does not know is left where it is.
func (r *reader) data(rec *record) string {
	switch nameOf(typeNames(), rec.kind, "") {
	case "A":
		return netip.AddrFrom4([4]byte(r.bytes(4))).String()
	case "AAAA":
		b := r.bytes(16)
		if r.bad {
			return ""
		}
		return netip.AddrFrom16([16]byte(b)).String()
	case "NS", "CNAME", "PTR", "DNAME":
		return r.name()
	case "MX":
		return fmt.Sprintf("%d %s", r.u16(), r.name())
	case "SRV":
		return fmt.Sprintf("%d %d %d %s", r.u16(), r.u16(), r.u16(), r.name())
	case "TXT", "SPF":
		var parts []string
		for !r.bad && r.at < len(r.msg) {
			parts = append(parts, quoted(r.bytes(r.u8())))
		}
		return strings.Join(parts, " ")
	case "CAA":
		flags := r.u8()
		tag := r.bytes(r.u8())
		return fmt.Sprintf("%d %s %s", flags, strings.ToValidUTF8(string(tag), "?"), quoted(r.bytes(len(r.msg)-r.at)))
	case "SOA":
		names := r.name() + " " + r.name()
		rec.serial = r.u32()
		return fmt.Sprintf("%s %d %d %d %d %d", names, rec.serial, r.u32(), r.u32(), r.u32(), r.u32())
	case "DS":
		return fmt.Sprintf("%d %d %d %s", r.u16(), r.u8(), r.u8(), strings.ToUpper(hex.EncodeToString(r.bytes(len(r.msg)-r.at))))
	case "DNSKEY":
		return fmt.Sprintf("%d %d %d %s", r.u16(), r.u8(), r.u8(), base64.StdEncoding.EncodeToString(r.bytes(len(r.msg)-r.at)))
	}
	r.bad = true
	return ""
}

func quoted(data []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	escape(&b, data, "")
	b.WriteByte('"')
	return b.String()
}

// The names of numbers, as NAME=NUMBER.
func classNames() []string { return strings.Fields("IN=1 CS=2 CH=3 HS=4 NONE=254 ANY=255") }

func typeNames() []string {
	return strings.Fields(`A=1 NS=2 MD=3 MF=4 CNAME=5 SOA=6 MB=7 MG=8 MR=9 NULL=10 PTR=12 HINFO=13 MINFO=14 MX=15 TXT=16 RP=17 AFSDB=18 X25=19 ISDN=20 RT=21 SIG=24 KEY=25 PX=26 GPOS=27
AAAA=28 LOC=29 NXT=30 EID=31 NIMLOC=32 SRV=33 ATMA=34 NAPTR=35 KX=36 CERT=37 DNAME=39 OPT=41 APL=42 DS=43 SSHFP=44 IPSECKEY=45 RRSIG=46 NSEC=47 DNSKEY=48 DHCID=49 NSEC3=50 NSEC3PARAM=51
TLSA=52 SMIMEA=53 HIP=55 NINFO=56 RKEY=57 TALINK=58 CDS=59 CDNSKEY=60 OPENPGPKEY=61 CSYNC=62 ZONEMD=63 SVCB=64 HTTPS=65 SPF=99 UINFO=100 UID=101 GID=102 UNSPEC=103 NID=104 L32=105 L64=106
LP=107 EUI48=108 EUI64=109 NXNAME=128 TKEY=249 TSIG=250 IXFR=251 AXFR=252 MAILB=253 MAILA=254 ANY=255 URI=256 CAA=257 AVC=258 AMTRELAY=260 RESINFO=261 TA=32768 DLV=32769 Reserved=65535`)
}

func rcodeNames() []string {
	return strings.Fields("NOERROR=0 FORMERR=1 SERVFAIL=2 NXDOMAIN=3 NOTIMP=4 NOTIMPL=4 REFUSED=5 YXDOMAIN=6 YXRRSET=7 NXRRSET=8 NOTAUTH=9 NOTZONE=10 DSOTYPENI=11 BADSIG=16 BADVERS=16 BADKEY=17 BADTIME=18 BADMODE=19 BADNAME=20 BADALG=21 BADTRUNC=22 BADCOOKIE=23")
}

// numberOf is the number of a name in such a list.
func numberOf(list []string, name string) (uint16, bool) {
	at := slices.IndexFunc(list, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	if at < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(list[at][len(name)+1:], 10, 16)
	return uint16(n), err == nil
}

// nameOf is the first name of a number in such a list, or the number after otherwise.
func nameOf(list []string, n uint16, otherwise string) string {
	number := "=" + strconv.Itoa(int(n))
	for _, s := range list {
		if name, ok := strings.CutSuffix(s, number); ok {
			return name
		}
	}
	return otherwise + number[1:]
}
