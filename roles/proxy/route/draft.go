package route

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// Setting is one option as it is written.
type Setting struct {
	Key, Value string
	Place      string // FILE:LINE:COL, or the flag; empty is that of the draft
	Side       Side   // where it stands: of the listener before =>, of the cluster after it, of the route as a key of a file
}

// Draft is a route, or a cluster without Listen, as it is written.
type Draft struct {
	Name, Listen, Upstream string
	Settings               []Setting
	Place                  string
}

// Cluster is what Upstream begins with where it names a cluster of the file.
const clusterPrefix = "cluster:"

// ParseText reads [NAME=]LISTEN[?OPTIONS] => UPSTREAM[?OPTIONS]. What follows => may be missing where redirect= answers.
func ParseText(text, place string) (Draft, error) {
	d := Draft{Place: place}
	left, right, found := strings.Cut(text, "=>")
	if strings.Contains(right, "=>") {
		return d, fmt.Errorf("%s: %q has => twice; write each route on its own, and => in a value as %%3D%%3E", place, Mask(text))
	}
	left, right = strings.TrimSpace(left), strings.TrimSpace(right)
	if before, after, ok := strings.Cut(left, "="); ok && !strings.ContainsAny(before, ":/?") {
		d.Name, left = strings.TrimSpace(before), strings.TrimSpace(after)
		if d.Name == "" {
			return d, fmt.Errorf("%s: %q: the name before = is empty", place, Mask(text))
		}
	}
	var errs []error
	take := func(part string, side Side) (address string) {
		address, query, _ := strings.Cut(part, "?")
		settings, err := ParseQuery(query, "", side)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
		}
		d.Settings = append(d.Settings, settings...)
		return address
	}
	d.Listen = take(left, OfListener)
	if found && right == "" {
		errs = append(errs, fmt.Errorf("%s: %q: there is no upstream after =>", place, Mask(text)))
	}
	d.Upstream = take(right, OfCluster)
	if d.Listen == "" {
		errs = append(errs, fmt.Errorf("%s: %q: want LISTEN => UPSTREAM, such as https://:8443?cert=/tls => http://127.0.0.1:8080", place, Mask(text)))
	}
	return d, errors.Join(errs...)
}

// ParseQuery reads key=value pairs with & between them. Unlike in a form, + is a plus sign.
func ParseQuery(query, place string, side Side) ([]Setting, error) {
	var all []Setting
	if query == "" {
		return nil, nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, val, _ := strings.Cut(pair, "=")
		text, err := url.PathUnescape(val)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: want %%XX for special characters, and %%25 for a percent sign", key, shownValue(key, val))
		}
		if key == "" {
			return nil, fmt.Errorf("?%s: an option without name", Mask(query))
		}
		all = append(all, Setting{Key: key, Value: text, Place: place, Side: side})
	}
	return all, nil
}

// ParseInstances reads NAME=tcp:ADDRESS:PORT, NAME=tcp:PORT and NAME=unix:PATH, several with commas between them, as the
// Cloud SQL proxy does. NAME is a cluster of the file.
func ParseInstances(text, place string) ([]Draft, error) {
	var all []Draft
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		at := strings.LastIndexByte(part, '=')
		if at <= 0 {
			errs = append(errs, fmt.Errorf("%s %q: want NAME=tcp:ADDRESS:PORT, NAME=tcp:PORT or NAME=unix:PATH, NAME being a cluster of the config file", place, part))
			continue
		}
		name, where := part[:at], part[at+1:]
		d := Draft{Name: name, Upstream: clusterPrefix + name, Place: place + " " + name}
		network, address, _ := strings.Cut(where, ":")
		switch {
		case network == "tcp" && address != "" && !strings.Contains(address, ":"):
			d.Listen = "tcp://127.0.0.1:" + address
		case network == "tcp" && address != "":
			d.Listen = "tcp://" + address
		case network == "unix" && address != "":
			d.Listen = "unix://" + address
		default:
			errs = append(errs, fmt.Errorf("%s %q: want tcp:ADDRESS:PORT, tcp:PORT or unix:PATH after the name", place, part))
			continue
		}
		all = append(all, d)
	}
	return all, errors.Join(errs...)
}

// Mask hides values of fields that a route sets: they may be passwords of the upstream. Those that are read from a file stay.
// A value ends with its option, or with the part of the route that it stands in; it may have blanks.
func Mask(text string) string {
	const key = setHeader + "="
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, key)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := len(after)
		for _, stop := range []string{"&", " =>", "=>"} {
			if at := strings.Index(after[:end], stop); at >= 0 {
				end = at
			}
		}
		b.WriteString(key + MaskPair(after[:end]))
		text = after[end:]
	}
}

const setHeader = "set-header"

// MaskPair hides the value of NAME:VALUE, and what is no such pair.
func MaskPair(text string) string {
	name, value, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return secret.Mask
	case strings.HasPrefix(value, FromFile):
		return text
	}
	return name + ":" + secret.Mask
}

// shownValue is what an error says of a value: nothing secret, and nothing that looks like a line of its own.
func shownValue(key, value string) string {
	if value = Mask(value); key == setHeader {
		value = MaskPair(value)
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return strconv.Quote(value)
	}
	return value
}

// FromFile is what the value of a field begins with that is read from a file.
const FromFile = "file:"
