package gitsync

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// oldNames are settings that git-sync's earlier releases knew by another name or in another unit. Tutorials still
// show them, so a manifest that uses them works with nothing but the image changed.
type oldNames struct {
	Branch, Rev, Dest string
	Wait              string // seconds, with a fraction
	Timeout           string // seconds
	MaxFailures       Failures
	Hook              string
	SSH               bool
	SourceURL         secret.URL

	ignored ignored
}

// ignored are settings that mean nothing here, and do no harm.
type ignored struct {
	AddUser, HTTPMetrics, HTTPPprof bool
	Git, ChangePermissions          string
	Filter, PrePublishBackoff       string
	Verbose                         string
}

// apply moves old settings to where today's are, unless those were given.
func (o *oldNames) apply(c *Config) error {
	var errs []error
	if c.Repo.Reveal() == "" && o.SourceURL.Reveal() != "" {
		c.Repo = o.SourceURL
	}
	if c.Ref == "HEAD" {
		switch {
		case o.Rev != "" && o.Rev != "HEAD":
			c.Ref = o.Rev
		case o.Branch != "":
			c.Ref = o.Branch
		}
	}
	if c.Link == "" {
		c.Link = o.Dest
	}
	if o.Wait != "" {
		s, err := strconv.ParseFloat(o.Wait, 64)
		if err != nil || s < 0 || s > 1e9 {
			errs = append(errs, fmt.Errorf("--wait (GIT_SYNC_WAIT) %q is not a number of seconds; today's name is --period", o.Wait))
		}
		// Zero meant "as often as possible", which was a second in practice.
		c.Period = max(time.Duration(s*float64(time.Second)), time.Second)
	}
	if o.Timeout != "" {
		s, err := strconv.Atoi(o.Timeout)
		if err != nil || s < 0 {
			errs = append(errs, fmt.Errorf("--timeout (GIT_SYNC_TIMEOUT) %q is not a number of seconds; today's name is --sync-timeout", o.Timeout))
		} else if s > 0 {
			c.SyncTimeout = time.Duration(s) * time.Second
		}
	}
	if o.MaxFailures.set && !c.MaxFailures.set {
		c.MaxFailures = o.MaxFailures
	}
	if c.Hooks.Exec == "" {
		c.Hooks.Exec = o.Hook
	}
	if o.ignored.ChangePermissions != "" && o.ignored.ChangePermissions != "0" {
		errs = append(errs, errors.New("--change-permissions is gone (git-sync refuses it too): use --group-write, or fsGroup in the pod"))
	}
	return errors.Join(errs...)
}
