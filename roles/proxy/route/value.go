package route

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is a setting that is read from text and can be shown again. What it was set to before is gone.
type value interface {
	set(text string) error
	show() []string // nothing where it is empty
}

type textValue struct {
	to    *string
	check func(string) error
}

func (v textValue) set(text string) error {
	if v.check != nil {
		if err := v.check(text); err != nil {
			return err
		}
	}
	*v.to = text
	return nil
}

func (v textValue) show() []string {
	if *v.to == "" {
		return nil
	}
	return []string{*v.to}
}

// listValue grows: by commas, and by every time it is given.
type listValue struct {
	to    *[]string
	check func(string) error
}

func (v listValue) set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			return errors.New("want values with commas between them")
		}
		if v.check != nil {
			if err := v.check(part); err != nil {
				return err
			}
		}
		*v.to = append(*v.to, part)
	}
	return nil
}

func (v listValue) show() []string { return *v.to }

type choiceValue struct {
	to    *string
	words []string
}

func (v choiceValue) set(text string) error {
	if !slices.Contains(v.words, text) {
		return fmt.Errorf("want %s", strings.Join(v.words, ", "))
	}
	*v.to = text
	return nil
}

func (v choiceValue) show() []string { return textValue{to: v.to}.show() }

type timeValue struct{ to *time.Duration }

func (v timeValue) set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil && text == "0" {
		d, err = 0, nil
	}
	if err != nil || d < 0 {
		return errors.New("want a duration such as 500ms, 10s or 5m")
	}
	*v.to = d
	return nil
}

func (v timeValue) show() []string { return []string{v.to.String()} }

type countValue struct {
	to          *int
	least, most int
}

func (v countValue) set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.least || n > v.most {
		return fmt.Errorf("want a number from %d to %d", v.least, v.most)
	}
	*v.to = n
	return nil
}

func (v countValue) show() []string { return []string{strconv.Itoa(*v.to)} }

type rateValue struct {
	to   *float64
	most float64
}

func (v rateValue) set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= v.most) { // which NaN is not
		return fmt.Errorf("want a number from 0 to %g", v.most)
	}
	*v.to = n
	return nil
}

func (v rateValue) show() []string { return []string{strconv.FormatFloat(*v.to, 'g', -1, 64)} }

// sizeValue takes bytes, with k, m or g for powers of 1024.
type sizeValue struct {
	set64       func(int64)
	get         func() int64
	least, most int64
}

func (v sizeValue) set(text string) error {
	digits, unit := strings.ToLower(text), int64(1)
	for i, suffix := range []string{"k", "m", "g"} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > v.most/unit || n*unit < v.least {
		return fmt.Errorf("want a size from %d to %d bytes, such as 32k or 10m", v.least, v.most)
	}
	v.set64(n * unit)
	return nil
}

func (v sizeValue) show() []string {
	n := v.get()
	for i, suffix := range []string{"g", "m", "k"} {
		if unit := int64(1) << (10 * (3 - i)); n >= unit && n%unit == 0 {
			return []string{strconv.FormatInt(n/unit, 10) + suffix}
		}
	}
	return []string{strconv.FormatInt(n, 10)}
}

type switchValue struct{ to *bool }

func (v switchValue) set(text string) error {
	switch text {
	case "true", "on", "yes", "1", "": // ?insecure alone means it
		*v.to = true
	case "false", "off", "no", "0":
		*v.to = false
	default:
		return errors.New("want true or false")
	}
	return nil
}

func (v switchValue) show() []string { return []string{strconv.FormatBool(*v.to)} }

// netsValue takes addresses and CIDRs.
type netsValue struct{ to *[]netip.Prefix }

func (v netsValue) set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, aerr := netip.ParseAddr(part)
			if aerr != nil || a.Zone() != "" {
				return fmt.Errorf("%q: want addresses or CIDRs with commas between them, such as 10.0.0.0/8,::1", part)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return fmt.Errorf("%q: want the IPv4 form, such as 10.0.0.0/8", part)
		}
		*v.to = append(*v.to, p.Masked())
	}
	return nil
}

func (v netsValue) show() (all []string) {
	for _, p := range *v.to {
		all = append(all, p.String())
	}
	return all
}

// pairsValue takes NAME:VALUE.
type pairsValue struct {
	to    *[][2]string
	check func(name, value string) error
}

func (v pairsValue) set(text string) error {
	name, val, ok := strings.Cut(text, ":")
	if !ok {
		return errors.New("want NAME:VALUE")
	}
	name, val = strings.TrimSpace(name), strings.Trim(val, " \t")
	if err := v.check(name, val); err != nil {
		return err
	}
	*v.to = append(*v.to, [2]string{name, val})
	return nil
}

func (v pairsValue) show() (all []string) {
	for _, p := range *v.to {
		all = append(all, p[0]+":"+p[1])
	}
	return all
}

// modeValue takes permissions in octal digits.
type modeValue struct{ to *fs.FileMode }

func (v modeValue) set(text string) error {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		return errors.New("want octal permissions such as 0660")
	}
	*v.to = fs.FileMode(n)
	return nil
}

func (v modeValue) show() []string { return []string{fmt.Sprintf("%04o", v.to.Perm())} }
