package initcopy

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/remote"
)

// checkRemote says what is wrong with sources that come over the network, as far as their words tell.
func (c *Config) checkRemote(sources []source, expect map[string]item.Sum) error {
	var errs []error
	hosts := map[string]bool{}
	for _, s := range sources {
		_, expected := expect[s.spec]
		switch s.kind {
		case fromWeb:
			u, err := url.Parse(s.spec)
			if err != nil {
				continue // said already
			}
			hosts[u.Host] = true
			errs = append(errs, c.checkWeb(s, u, expected))
		case fromImage:
			errs = append(errs, c.checkImage(s, expected))
		}
	}
	if len(hosts) > 1 && c.TokenFile+c.BasicFile != "" {
		errs = append(errs, errors.New("--token-file and --basic-file are for one server, and the sources are on several\nhint: run once for each of them"))
	}
	if c.TokenFile != "" && c.BasicFile != "" {
		errs = append(errs, errors.New("--token-file and --basic-file exclude each other"))
	}
	if _, err := remote.ParsePlatform(c.Platform); err != nil {
		errs = append(errs, fmt.Errorf("--platform %w", err))
	}
	return errors.Join(errs...)
}

func (c *Config) checkWeb(s source, u *url.URL, expected bool) error {
	secretive := u.User != nil || c.TokenFile != "" || c.BasicFile != ""
	switch {
	case !expected && u.Scheme == "http":
		return fmt.Errorf("--src %s: anybody on the way can change what http brings\nhint: use https, or pin the content with --expect sha256:<digest>", s.shown)
	case secretive && u.Scheme == "http":
		return fmt.Errorf("--src %s: anybody on the way can read credentials that are sent by http\nhint: use https", s.shown)
	case !expected && !c.Unpinned:
		return fmt.Errorf("--expect is missing for %s: pin the content with --expect sha256:<digest>\nhint: --insecure-unpinned takes whatever the server has", s.shown)
	case u.User != nil && c.TokenFile+c.BasicFile != "":
		return fmt.Errorf("--src %s: a user in the address, and --token-file or --basic-file, exclude each other", s.shown)
	}
	return nil
}

func (c *Config) checkImage(s source, expected bool) error {
	switch {
	case expected:
		return fmt.Errorf("--expect is not for the image %s: write its digest into the address, as name@sha256:<digest>", s.shown)
	case s.expect == nil && !c.Unpinned:
		return fmt.Errorf("--src %s: a tag can stand for another image tomorrow: pin it as name@sha256:<digest>\nhint: --insecure-unpinned takes whatever the tag stands for", s.shown)
	}
	return nil
}

// client talks to servers as the settings say.
func (j *job) client() (*remote.Client, error) {
	c := j.cfg
	return remote.New(remote.Options{
		CAFile: c.CAFile, TokenFile: c.TokenFile, BasicFile: c.BasicFile, AuthFile: c.AuthFile,
		Retry: c.Retry, MaxBytes: c.MaxBytes, Log: j.log,
	})
}
