// Package draft is configuration before it is understood: words, lists and mappings with the place each was written at, be it a
// file or a flag. Each part of a role reads its own, and complains of everything that is wrong at once. Used by adapter and logship.
package draft

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Shape is what a value is.
type Shape uint8

// The shapes.
const (
	Empty Shape = iota // key without a value
	Word
	List
	Map
)

// Value is a word, a list or a mapping.
type Value struct {
	Place string // "logship.yaml:3:5", "--to"
	Key   string // of the mapping it stands in, "" elsewhere; set by Each and All
	Shape Shape
	Text  string
	Items []Value
	Pairs []Pair
}

// Pair is a key of a mapping and its value.
type Pair struct {
	Key, Place string
	Value      Value
}

// Of is a word from a flag or from a part of one.
func Of(place, text string) Value { return Value{Place: place, Shape: Word, Text: text} }

// Errorf is a complaint about the place of v, and its key.
func (v Value) Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if v.Key == "" || strings.HasPrefix(err.Error(), v.Key) || strings.HasSuffix(v.Place, v.Key) {
		return fmt.Errorf("%s: %w", v.Place, err)
	}
	return fmt.Errorf("%s: %s: %w", v.Place, v.Key, err)
}

// Each calls fn with every key of a mapping; keys beside known, and keys given twice, are complaints. Empty is a mapping without keys.
func (v Value) Each(known []string, fn func(key string, v Value) error) error {
	return v.pairs(func(p Pair) error {
		key := p.Key
		if !slices.Contains(known, key) {
			key = strings.ReplaceAll(key, "_", "-")
		}
		if !slices.Contains(known, key) {
			return fmt.Errorf("%s: unknown key %q%s", p.Place, p.Key, suggest.DidYouMean("", p.Key, known))
		}
		return fn(key, p.Value)
	})
}

// All calls fn with every key of a mapping whose keys are names that the user chooses.
func (v Value) All(fn func(key string, v Value) error) error {
	return v.pairs(func(p Pair) error { return fn(p.Key, p.Value) })
}

func (v Value) pairs(fn func(Pair) error) error {
	if v.Shape == Empty {
		return nil
	}
	if v.Shape != Map {
		return v.Errorf("want keys and values")
	}
	var errs []error
	seen := map[string]bool{}
	for _, p := range v.Pairs {
		if seen[p.Key] {
			errs = append(errs, fmt.Errorf("%s: %s is given twice", p.Place, p.Key))
			continue
		}
		seen[p.Key] = true
		p.Value.Key = p.Key
		errs = append(errs, fn(p))
	}
	return errors.Join(errs...)
}

// Each1 calls fn with every item of a list; a single word or mapping is a list of one, Empty is none.
func (v Value) Each1(fn func(v Value) error) error {
	switch v.Shape {
	case Empty:
		return nil
	case List:
	default:
		return fn(v)
	}
	var errs []error
	for _, item := range v.Items {
		errs = append(errs, fn(item))
	}
	return errors.Join(errs...)
}

// Word reads a single word into dst.
func (v Value) Word(dst *string) error {
	if v.Shape != Word {
		return v.Errorf("want one value, no list and no mapping")
	}
	*dst = v.Text
	return nil
}

// Words reads a list of words, or one.
func (v Value) Words(dst *[]string) error {
	*dst = nil
	return v.Each1(func(item Value) error {
		var s string
		err := item.Word(&s)
		if err == nil {
			*dst = append(*dst, s)
		}
		return err
	})
}

// OneOf reads one of several words.
func (v Value) OneOf(dst *string, words ...string) error {
	if err := v.Word(dst); err != nil {
		return err
	}
	if !slices.Contains(words, *dst) {
		return v.Errorf("%q is none of %s%s", *dst, strings.Join(words, ", "), suggest.DidYouMean("", *dst, words))
	}
	return nil
}

// Bool reads true or false.
func (v Value) Bool(dst *bool) error {
	if v.Shape == Word && (v.Text == "true" || v.Text == "false") {
		*dst = v.Text == "true"
		return nil
	}
	return v.Errorf("%q is neither true nor false", v.Text)
}

// Int reads a whole number from low to high.
func (v Value) Int(dst *int, low, high int) error {
	n, err := strconv.Atoi(v.Text)
	if v.Shape != Word || err != nil || n < low || n > high {
		return v.Errorf("%q is no whole number from %d to %d", v.Text, low, high)
	}
	*dst = n
	return nil
}

// Float reads a number from low to high.
func (v Value) Float(dst *float64, low, high float64) error {
	n, err := strconv.ParseFloat(v.Text, 64)
	if v.Shape != Word || err != nil || !(n >= low && n <= high) {
		return v.Errorf("%q is no number from %v to %v", v.Text, low, high)
	}
	*dst = n
	return nil
}

// Duration reads a time span such as 200ms, 90s, 1h30m or 7d.
func (v Value) Duration(dst *time.Duration, low, high time.Duration) error {
	d, err := ParseDuration(v.Text)
	if v.Shape != Word || err != nil || d < low || d > high {
		return v.Errorf("%q is no time from %s to %s, such as 200ms, 90s or 7d", v.Text, low, high)
	}
	*dst = d
	return nil
}

// ParseDuration is time.ParseDuration that knows days, too: 7d.
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	return time.ParseDuration(text)
}

// Size reads a number of bytes such as 512, 64KiB, 2MB or 1G. KB, MB and GB are powers of 1,000; K, M, G and KiB, MiB, GiB of 1,024.
func (v Value) Size(dst *int64, low, high int64) error {
	n, err := ParseSize(v.Text)
	if v.Shape != Word || err != nil || n < low || n > high {
		return v.Errorf("%q is no size from %d to %d bytes, such as 512KiB or 2MB", v.Text, low, high)
	}
	*dst = n
	return nil
}

// ParseSize reads a number of bytes; see Size.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	units := map[string]float64{
		"": 1, "B": 1, "K": 1 << 10, "KiB": 1 << 10, "KB": 1e3, "M": 1 << 20, "MiB": 1 << 20, "MB": 1e6,
		"G": 1 << 30, "GiB": 1 << 30, "GB": 1e9, "T": 1 << 40, "TiB": 1 << 40, "TB": 1e12,
	}
	unit, known := units[text[len(digits):]]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !known || !(n >= 0 && n*unit < 1<<62) {
		return 0, fmt.Errorf("%q is no size", text)
	}
	return int64(n * unit), nil
}
