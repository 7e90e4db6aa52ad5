package statsd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// read is all that a line says, in a form that is easy to compare.
func read(p Parser, line string) string {
	name, pieces, fault := p.Pieces(nil, line)
	if fault != None {
		return fault.String()
	}
	var all []string
	for _, piece := range pieces {
		var h Head
		p.Head(name, piece.Rest, &h)
		values, more := piece.Values, true
		for more {
			var value string
			value, values, more = NextValue(values)
			all = append(all, sample(&h, value))
		}
	}
	return strings.Join(all, "; ")
}

func sample(h *Head, value string) string {
	if h.Parts != None {
		return h.Parts.String()
	}
	v, ok := h.Value(value)
	if !ok && h.Kind != Set {
		return MalformedValue.String()
	}
	var b strings.Builder
	if h.After != None {
		b.WriteString(h.After.String())
	} else {
		number := strconv.FormatFloat(v.Number, 'g', -1, 64)
		if h.Kind == Set {
			number, v.Times = value, 1
		}
		fmt.Fprintf(&b, "%s %s=%s", h.Name, [...]string{"?", "c", "g", "s", "h", "d", "set"}[h.Kind], number)
		if v.Relative {
			b.WriteString(" relative")
		}
		if v.Times != 1 {
			fmt.Fprintf(&b, " x%d", v.Times)
		}
		for _, t := range h.Tags {
			fmt.Fprintf(&b, " %s:%s", t.Name, t.Value)
		}
	}
	if h.BadTags > 0 {
		fmt.Fprintf(&b, " -%d", h.BadTags)
	}
	if h.BadRate {
		b.WriteString(" rate?")
	}
	return b.String()
}

// cases are lines with what is read from them. What statsd_exporter's own tests ask for is among them.
func cases() [][2]string {
	return [][2]string{
		{"foo:2|c", "foo c=2"},
		{"foo:3|g", "foo g=3"},
		{"foo:3|g|@0.2", "foo g=3"},
		{"foo:-10|g", "foo g=-10 relative"},
		{"foo:+10|g", "foo g=10 relative"},
		{"foo:200|ms", "foo s=0.2"},
		{"foo:200|h", "foo h=200"},
		{"foo:200|d", "foo d=200"},
		{"foo:0.01|d|@0.2|#tag1:bar,#tag2:baz", "foo d=0.01 x5 tag1:bar tag2:baz"},
		{"foo#tag1=bar,tag2=baz:100|c", "foo c=100 tag1:bar tag2:baz"},
		{"foo#09digits=0,tag.with.dots=1:100|c", "foo c=100 _09digits:0 tag_with_dots:1"},
		{"foo,tag1=bar,tag2=baz:100|c", "foo c=100 tag1:bar tag2:baz"},
		{"foo.[tag1=bar,tag2=baz]test:100|c", "foo.test c=100 tag1:bar tag2:baz"},
		{"foo.test[tag1=bar,tag2=baz]:100|c", "foo.test c=100 tag1:bar tag2:baz"},
		{"[tag1=bar,tag2=baz]foo.test:100|c", "foo.test c=100 tag1:bar tag2:baz"},
		{"foo.[]test:100|c", "foo.test c=100"},
		{"foo.[tag1,tag2]test:100|c", "foo.test c=100 -2"},
		{"[tag1=bar,tag2=bazfoo.test:100|c", "[tag1=bar,tag2=bazfoo.test c=100 -1"},
		{"tag1=bar,tag2=baz]foo.test:100|c", "tag1=bar,tag2=baz]foo.test c=100 -1"},
		{"a]b[c:100|c", "a]b[c c=100 -1"},
		{"foo:100|c|#tag1:bar,tag2:baz", "foo c=100 tag1:bar tag2:baz"},
		{"foo:100|c|#09digits:0,tag.with.dots:1", "foo c=100 _09digits:0 tag_with_dots:1"},
		{"foo:100|c|#tag_without_a_value", "foo c=100 -1"},
		{"foo:100|c|#tag_without_a_value,tag:value", "foo c=100 tag:value -1"},
		{"foo:100|c|#tag:value,,", "foo c=100 tag:value -1"},
		{"foo:100|c|#a:1,a:2", "foo c=100 a:2"},
		{"foo:100|c|@0.1|#tag1:bar,#tag2:baz", "foo c=1000 tag1:bar tag2:baz"},
		{"foo#tag1=foo,tag3=bing:100|c|#tag1:bar,#tag2:baz", "mixed_tagging_styles"},
		{"foo[tag1=foo,tag3=bing]:100|c|#tag1:bar,#tag2:baz", "mixed_tagging_styles"},
		{"foo,tag1=foo,tag3=bing:100|c|#tag1:bar,#tag2:baz", "mixed_tagging_styles"},
		{"foo#tag1=foo,tag3=bing:100|c|@0.1|#tag1:bar,#tag2:baz", "mixed_tagging_styles"},
		{"foo:100|c|@0.1|#tag1:foo:bar", "foo c=1000 tag1:foo:bar"},
		{"foo:100|c|@0.1|#tag:\xc3\x28invalid", "malformed_line"},
		{"foo_timing:0.5:120:3000|ms|#tag1:bar", "foo_timing s=0.0005 tag1:bar; foo_timing s=0.12 tag1:bar; foo_timing s=3 tag1:bar"},
		{"foo_timing:0.5:120|ms|@0.5", "foo_timing s=0.0005 x2; foo_timing s=0.12 x2"},
		{"foo_timing:0.5:x:|d", "foo_timing d=0.5; malformed_value; malformed_value"},
		{"foo:0.5:120|c|#tag1:bar", "invalid_extended_aggregate_type"},
		{"foo:0.5:120|g", "invalid_extended_aggregate_type"},
		{"foo:0.5:120|ms:1|ms", "invalid_extended_aggregate_type"},
		{"foo.timing:0.5|ms|@0.1", "foo.timing s=0.0005 x10"},
		{"foo", "malformed_line"},
		{"foo:1", "not_enough_parts_after_colon"},
		{"foo:", "not_enough_parts_after_colon"},
		{"foo:1o|c", "malformed_value"},
		{"foo:|c", "malformed_value"},
		{"foo:nan|c", "malformed_value"},
		{"foo:1e999|g", "malformed_value"},
		{"foo:1|c|@bar", "foo c=1 rate?"},
		{"foo:2|c|@0", "foo c=2"},
		{"foo:1|h|@2", "foo h=1 x0"},
		{"foo:1|h|@-1", "foo h=1 x0"},
		{"foo:1|h|@1e-300", "foo h=1 x4294967296"},
		{"foo:2|t", "illegal_event"},
		{":100|ms", "malformed_line"},
		{"foo:1|c|", "malformed_component"},
		{"foo:1|c|@0.1||#a:b", "malformed_component"},
		{"invalid\xc3\x28utf8:1|c", "malformed_line"},
		{"karafka.consumer.consume.cpu_idle_second:  0.111090  -0.055903  -0.195390 (  2.419002)", "not_enough_parts_after_colon"},
		{"|h|#consumer:Kafka::SharedConfigurationConsumer,topic:shared,partition:1,consumer_group:tc_rc_us", "not_enough_parts_after_colon"},
		{"foo:1|c:2|g:3|ms", "foo c=1; foo g=2; foo s=0.003"},
		{"foo:1|c:", "foo c=1; malformed_component"},
		{"foo:1|c:2:3|c", "foo c=1; malformed_component; foo c=3"},
		{"foo:100|c|#tag1:value|c:container123", "foo c=100 tag1:value container_id:container123"},
		{"foo:100|c|#tag1:value|c", "malformed_container_id"},
		{"foo:100|c|#tag1:value|c:", "malformed_container_id"},
		{"foo:100|c|#tag1:value|c:sha256:abcd", "foo c=100 tag1:value container_id:sha256:abcd"},
		{"foo:200|h|@0.5|#env:prod|c:x", "foo h=200 x2 env:prod container_id:x"},
		{"foo:100|c|@0.1|#tag1:value|c:container|extra:component", "invalid_scale"},
		{"foo:42|c|T1656581400", "foo c=42"},
		{"foo:100|c|@0.1|#service:web|c:abc123|T1656581400", "foo c=1000 service:web container_id:abc123"},
		{"foo:100|c|#tag:val|T", "foo c=100 tag:val"},
		// beyond statsd_exporter
		{"foo:1|c|c:abc", "foo c=1 container_id:abc"},
		{"foo:1|c|e:it-false,cn-x|card:low", "foo c=1"},
		{"foo:1|c|@0.5|#a:b|c:x|T1|e:y|card:none", "foo c=2 a:b container_id:x"},
		{"foo:alice|s|#a:b", "foo set=alice a:b"},
		{"foo:1|c|@1|@1|@1|@1|@1|@1|@1", "malformed_component"},
	}
}

func TestLines(t *testing.T) {
	for _, c := range cases() {
		want := strings.Replace(c[1], "invalid_scale", "invalid_sample_factor", 1)
		if got := read(Parser{}, c[0]); got != want {
			t.Errorf("%q = %s; want %s", c[0], got, want)
		}
	}
}

func TestDialectsCanBeOff(t *testing.T) {
	for _, c := range []struct {
		p          Parser
		line, want string
	}{
		{Parser{NoDogStatsD: true}, "foo:1|c|#a:b", "foo c=1"},
		{Parser{NoLibrato: true}, "foo#a=b:1|c", "foo#a=b c=1"},
		{Parser{NoInfluxDB: true}, "foo,a=b:1|c", "foo,a=b c=1"},
		{Parser{NoSignalFX: true}, "foo[a=b]:1|c", "foo[a=b] c=1"},
		{Parser{NoSignalFX: true}, "foo[a=b,c=d]:1|c", "foo[a=b c=1 c:d]"},
		{Parser{NoInfluxDB: true}, "foo,a=b:1|c|#a:b", "foo,a=b c=1 a:b"},
	} {
		if got := read(c.p, c.line); got != c.want {
			t.Errorf("%+v: %q = %s; want %s", c.p, c.line, got, c.want)
		}
	}
}

func TestSpecialLines(t *testing.T) {
	for line, want := range map[string]Special{"_e{1,1}:a|b": Event, "_sc|a|0": ServiceCheck, "_error:1|c": Metric, "a": Metric} {
		if got := Is(line); got != want {
			t.Errorf("Is(%q) = %d; want %d", line, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "clean": "clean", "0starts": "_0starts", "a-b": "a_b", "a--b": "a_b", "a---b": "a_b", "a-.-b": "a___b", "a.b": "a_b", "ü.x": "__x", "-": "_", "a-": "a_", "0": "_0", "x:y": "x_y",
	} {
		if got := Escape(name); got != want {
			t.Errorf("Escape(%q) = %q; want %q", name, got, want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var h Head
	pieces := make([]Piece, 0, 4)
	line := "app.requests:1.5|h|@0.5|#env:prod,host:a"
	if n := testing.AllocsPerRun(100, func() {
		name, got, _ := Parser{}.Pieces(pieces[:0], line)
		Parser{}.Head(name, got[0].Rest, &h)
		h.Value(got[0].Values)
	}); n > 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

// FuzzLine reads anything: the short way and the long way agree, tags are valid, numbers are finite and nothing is read of what is no UTF-8.
func FuzzLine(f *testing.F) {
	for _, c := range cases() {
		f.Add(c[0], byte(0))
		f.Add(c[0], byte(15))
	}
	f.Fuzz(func(t *testing.T, line string, off byte) {
		p := Parser{off&1 > 0, off&2 > 0, off&4 > 0, off&8 > 0}
		name, pieces, fault := p.Pieces(nil, line)
		if fault != None {
			return
		}
		for _, piece := range pieces {
			var h Head
			p.Head(name, piece.Rest, &h)
			seen := map[string]bool{}
			for _, tag := range h.Tags {
				if tag.Value == "" || tag.Name != Escape(tag.Name) || tag.Name == "" || seen[tag.Name] {
					t.Errorf("%q: tag %q", line, tag)
				}
				seen[tag.Name] = true
			}
			if v, ok := h.Value(piece.Values); ok && (math.IsNaN(v.Number) || math.IsInf(v.Number, 0) && h.Kind != Gauge) && h.Kind != Unknown && h.Kind != Set {
				t.Errorf("%q: value %v", line, v)
			}
		}
		if cut, values, rest, ok := Cut(line); ok && len(pieces) == 1 && (cut != name || pieces[0] != Piece{values, rest}) {
			t.Errorf("Cut(%q) = %q, %q, %q; Pieces says %q, %q", line, cut, values, rest, name, pieces[0])
		}
	})
}

// FuzzNumber compares the short way with strconv.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1", "-1.5", "+.5", "5.", ".", "-", "", "1e5", "123456789012345.6", "9007199254740993", "0.1", "1_0", "0x1p-2", "inf", "1e999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := strconv.ParseFloat(s, 64)
		got, ok := ParseFloat(s)
		if ok != (err == nil) || ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("ParseFloat(%q) = %v, %v; want %v, %v", s, got, ok, want, err)
		}
	})
}
