package crontab

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// splitEnv takes NAME = value apart. No schedule has a word of letters before =.
func splitEnv(line string) (name, value string, valueAt int, ok bool) {
	before, after, found := strings.Cut(line, "=")
	name = strings.TrimRight(before, " \t")
	if n := len(name); n >= 2 && (name[0] == '"' || name[0] == '\'') && name[n-1] == name[0] {
		name = name[1 : n-1]
	}
	if !found || !isVariable(name) {
		return "", "", 0, false
	}
	value = strings.TrimLeft(after, " \t")
	return name, value, len(line) - len(value), true
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// setting reads NAME=value and applies it to the lines below.
func (p *parser) setting(name, value string, at, valueAt int, afterJob bool) {
	value, ok := p.unquote(name, value, valueAt)
	if !ok {
		return
	}
	if afterJob {
		p.hint("position", at+1, "%s= holds for the lines below only; supercronic and others read it for the whole file", name)
	}
	switch name {
	case "CRON_TZ", "TZ":
		p.setZone(name, value, valueAt)
		if name == "CRON_TZ" {
			return // says nothing to commands
		}
	case "SHELL":
		p.block.shell = value
	case "MAILTO", "MAILFROM":
		p.hint("mail", at+1, "%s= is ignored: no mail is sent; see the options ping= and output=", name)
	case "RANDOM_DELAY":
		minutes, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			p.fail(valueAt+1, "RANDOM_DELAY %q: must be minutes, for example RANDOM_DELAY=15", value)
			return
		}
		p.block.jitter = time.Duration(minutes) * time.Minute
		return
	}
	p.block.setEnv(name, value)
}

// setEnv keeps the lists that jobs above already have as they are. They share
// memory: a list only grows at its end, or is made anew.
func (b *block) setEnv(name, value string) {
	prefix := name + "="
	for i, have := range b.env {
		if strings.HasPrefix(have, prefix) {
			env := make([]string, 0, len(b.env))
			b.env = append(append(env, b.env[:i]...), b.env[i+1:]...)
			break
		}
	}
	b.env = append(b.env, prefix+value)
}

// setZone takes a zone for the schedules below. An empty one is the default again.
func (p *parser) setZone(name, value string, at int) {
	if name == "TZ" && p.block.cronTZ {
		return
	}
	if value == "" {
		p.block.zone, p.block.cronTZ = p.o.Schedule.Zone, false
		return
	}
	if strings.ContainsAny(value, " \t") {
		p.fail(at+1, "%s %q: the zone stands on a line of its own, for example %s=Europe/Berlin", name, value, name)
		return
	}
	zone, err := p.o.Schedule.Zones.Load(value)
	if err != nil {
		p.fail(at+1, "%s %q: %v, for example %s=Europe/Berlin", name, value, err, name)
		return
	}
	p.block.zone, p.block.cronTZ = zone, name == "CRON_TZ"
}

// unquote takes quotes off that go all around, and puts variables in.
func (p *parser) unquote(name, value string, at int) (string, bool) {
	expand := p.o.Expand
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		quote := value[0]
		end := strings.IndexByte(value[1:], quote) + 1
		switch {
		case end == 0:
			p.fail(at+1, "%s: the quote %c is not closed, for example %s=%cvalue%c", name, quote, name, quote, quote)
			return "", false
		case end != len(value)-1:
			p.fail(at+end+2, "%s: text after the closing quote %c, for example %s=%cvalue%c", name, quote, name, quote, quote)
			return "", false
		}
		value = value[1:end]
		expand = expand && quote == '"'
	}
	if expand && strings.ContainsRune(value, '$') {
		value = os.Expand(value, p.variable)
	}
	return value, true
}

// variable is what $NAME stands for: lines above win over the environment.
func (p *parser) variable(name string) string {
	for _, list := range [][]string{p.block.env, p.o.Env} {
		for i := len(list) - 1; i >= 0; i-- {
			if value, ok := strings.CutPrefix(list[i], name+"="); ok {
				return value
			}
		}
	}
	return ""
}
