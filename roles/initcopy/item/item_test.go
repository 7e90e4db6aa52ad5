package item

import (
	"cmp"
	"testing"
)

func TestChmodClauses(t *testing.T) {
	tests := []struct {
		text string
		kind Kind
		mode uint32
		want uint32
	}{
		{"0640", File, 0o755, 0o640},
		{"0640", Dir, 0o755, 0o640},
		{"D2770,F0640", Dir, 0o755, 0o2770},
		{"D2770,F0640", File, 0o4755, 0o640},
		{"g+rwX", File, 0o600, 0o660},
		{"g+rwX", File, 0o700, 0o770},
		{"g+rwX", Dir, 0o600, 0o670},
		{"o-rwx,Dg+s", Dir, 0o755, 0o2750},
		{"o-rwx,Dg+s", File, 0o755, 0o750},
		{"u=rw,go=r", File, 0o777, 0o644},
		{"+x", File, 0o644, 0o755},
		{"a=", File, 0o644, 0},
		{"u+s,+t", File, 0o755, 0o5755},
		{"0640", Symlink, 0o777, 0o777},
		{"", File, 0o644, 0o644},
	}
	for _, tt := range tests {
		c, err := ParseChanges(tt.text)
		if err != nil {
			t.Errorf("ParseChanges(%q) = %v", tt.text, err)
			continue
		}
		if got := c.Apply(tt.kind, tt.mode); got != tt.want {
			t.Errorf("%q on a %s of %04o = %04o; want %04o", tt.text, tt.kind, tt.mode, got, tt.want)
		}
	}
	for _, bad := range []string{"9", "77777", "x", "D", "F,0640", "u*x", "z+x", "u+q", "0640,", "D=D"} {
		if c, err := ParseChanges(bad); err == nil {
			t.Errorf("ParseChanges(%q) = %v; want an error", bad, c)
		}
	}
}

func TestRules(t *testing.T) {
	it := &Item{Kind: File, Mode: 0o4755, UID: 7, GID: 8}
	if got := Default().ModeOf(it); got != 0o4755 {
		t.Errorf("Default ModeOf = %04o; want 4755", got)
	}
	if uid, gid := Default().OwnerOf(it); uid != 7 || gid != 8 {
		t.Errorf("Default OwnerOf = %d, %d; want 7, 8", uid, gid)
	}
	r := Rules{UID: Keep, GID: 9, Umask: 0o027}
	if got := r.ModeOf(it); got != 0o750 {
		t.Errorf("ModeOf = %04o; want 0750", got)
	}
	if uid, gid := r.OwnerOf(it); uid != Keep || gid != 9 {
		t.Errorf("OwnerOf = %d, %d; want Keep, 9", uid, gid)
	}
}

func TestSum(t *testing.T) {
	const hex = "E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	s, ok := ParseSum(" sha256:" + hex + "\n")
	if want := "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; !ok || s.String() != want {
		t.Errorf("ParseSum = %s, %v; want %s", s, ok, want)
	}
	for _, bad := range []string{"", "sha256:", "md5:" + hex, hex[1:], hex[1:] + "g", hex + "00"} {
		if s, ok := ParseSum(bad); ok {
			t.Errorf("ParseSum(%q) = %s; want a refusal", bad, s)
		}
	}
}

func TestCompareKeepsFoldersTogether(t *testing.T) {
	sorted := []string{".", "-", "a", "a/b", "a/b/c", "a/b-c", "a-b", "a0", "b"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got, want := Compare(a, b), cmp.Compare(i, j); got != want {
				t.Errorf("Compare(%q, %q) = %d; want %d", a, b, got, want)
			}
		}
	}
}
