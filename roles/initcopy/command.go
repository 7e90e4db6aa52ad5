package initcopy

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

const doc = `Copies files, folders, archives or downloads into a volume, and ends. Made for init containers.

A file appears whole or not at all, a tree is swapped in by one rename, and a kill at any instant leaves the old content or
the new. A second run writes nothing when nothing changed. Memory stays small, also in a container with a limit of 16 MiB.

SRC is a file, a folder, a pattern (**/*.war), - for a tar archive on standard input, https://... or
oci://registry/name@sha256:...:/path. A folder is copied into DST under its name; with a slash at its end its content becomes
the content of DST. A single file gets the name DST unless that is a folder or ends with a slash.`

// Command returns the initcopy role.
func Command() *cli.Command {
	cfg := Default()
	flags := append(append(copyFlags(&cfg), attributeFlags(&cfg)...), append(archiveFlags(&cfg), remoteFlags(&cfg)...)...)
	return host.Command(host.Spec{
		Name:   "initcopy",
		Usage:  "copy files, archives or downloads into a volume, whole or not at all",
		Doc:    doc,
		Args:   "SRC... DST",
		Place:  arguments,
		Finite: true,
		Flags:  append(flags, otherFlags(&cfg)...),
		Check:  cfg.Validate,
		New:    func(env role.Env) (role.Runner, error) { return New(cfg, env) },
		Demo:   demo,
	})
}

// arguments reads SRC... DST.
func arguments(args []string) (map[string][]string, error) {
	if len(args) < 2 {
		return nil, errors.New("want at least two arguments: initcopy [flags] SRC... DST")
	}
	last := len(args) - 1
	return map[string][]string{"src": args[:last], "dst": {args[last]}}, nil
}

func copyFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "src", Value: addresses(&c.Src), Usage: "`SRC` to copy, instead of the arguments; repeatable"},
		&cli.StringFlag{Name: "dst", Destination: &c.Dst, Usage: "`DST`, the folder or file name to copy to, instead of the last argument"},
		&cli.StringFlag{Name: "self", Destination: &c.Self, Usage: "copy this program itself to `PATH` (mode 0555), for exec probes of other containers"},
		&cli.GenericFlag{Name: "expect", Value: addresses(&c.Expect), Usage: "sha256:... that a source must have, in the order of the sources, or as SRC=sha256:...; repeatable"},
		&cli.BoolFlag{Name: "verify", Destination: &c.Verify, Usage: "read what was written, and what is unchanged, once more from the disk before it is published"},
		&cli.GenericFlag{Name: "digest", Value: host.OneOf(&c.Digest, "sha256", "none"), Usage: "sha256 of every file, or none: faster for large files, but what is unchanged is told by time and inode alone"},
		&cli.StringFlag{Name: "manifest", Destination: &c.Manifest, Usage: "`FILE` that remembers what was published, or off (default: hidden beside the target)"},
		&cli.BoolFlag{Name: "delete", Destination: &c.Delete, Usage: "remove what is in the target and not in the source, also what others put there"},
		&cli.BoolFlag{Name: "remove-exploded", Destination: &c.RemoveExploded, Usage: "with a new NAME.war remove the folder NAME beside it, which an application server unpacked from the old one"},
		&cli.GenericFlag{Name: "publish", Value: host.OneOf(&c.Publish, "auto", "exchange", "symlink", "entries"), Usage: "how a tree is made visible: by exchange of two names, by a symbolic link, entry by entry, or the best that is possible (auto)"},
		&cli.StringFlag{Name: "stage-dir", Destination: &c.StageDir, Usage: "`FOLDER` on the same mount as the target for what is not published yet (default: beside or in the target)"},
	}
}

func attributeFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "owner", Destination: &c.Owner, Usage: "keep user and group where that is permitted"},
		&cli.BoolFlag{Name: "xattrs", Destination: &c.Xattrs, Usage: "keep extended attributes and access control lists where the file system has them"},
		&cli.StringFlag{Name: "chown", Destination: &c.Chown, Usage: "give everything to this `USER:GROUP`, by number"},
		&cli.StringFlag{Name: "chmod", Destination: &c.Chmod, Usage: "change modes: octal, or clauses such as D2770,F0640 or g+rwX,o-rwx (D folders, F files)"},
		&cli.StringFlag{Name: "umask", Destination: &c.Umask, Usage: "take these permissions away, in octal, such as 0027"},
		&cli.GenericFlag{Name: "include", Value: lines(&c.Include), Usage: "copy only what this `PATTERN` matches, also where --exclude matches; gitignore syntax; repeatable"},
		&cli.GenericFlag{Name: "exclude", Value: lines(&c.Exclude), Usage: "leave out what this `PATTERN` matches; gitignore syntax; repeatable"},
		&cli.GenericFlag{Name: "specials", Value: host.OneOf(&c.Specials, "refuse", "skip"), Usage: "devices, FIFOs and sockets in a source: refuse, or skip with a count"},
	}
}

func archiveFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "unpack", Destination: &c.Unpack, Usage: "sources are archives (tar, tar.gz, tar.zst, zip, war) whose content becomes the content of DST"},
		&cli.IntFlag{Name: "strip-components", Destination: &c.Strip, Usage: "leading folders to take away from the names in an archive"},
		&cli.Int64Flag{Name: "max-bytes", Destination: &c.MaxBytes, Usage: "bytes that an archive, a download or a tree may have; 0 is no limit"},
		&cli.Int64Flag{Name: "max-entries", Destination: &c.MaxFiles, Usage: "entries that an archive or a tree may have; 0 is no limit"},
		&cli.Int64Flag{Name: "max-ratio", Destination: &c.MaxRatio, Usage: "how many times larger an archive may become when it is unpacked; 0 is no limit"},
		&cli.IntFlag{Name: "max-name", Destination: &c.MaxName, Usage: "bytes that a path in an archive may have; 0 is no limit"},
		&cli.IntFlag{Name: "max-depth", Destination: &c.MaxDepth, Usage: "parts that a path in an archive may have; 0 is no limit"},
		&cli.GenericFlag{Name: "links", Value: host.OneOf(&c.Links, "refuse", "skip", "keep"), Usage: "symbolic links in an archive that lead out of DST: refuse the archive, skip them, or keep them"},
	}
}

func remoteFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "insecure-unpinned", Destination: &c.Unpinned, Usage: "allow downloads without --expect, and images without a digest"},
		&cli.StringFlag{Name: "token-file", Destination: &c.TokenFile, Usage: "`FILE` with a bearer token for https sources"},
		&cli.StringFlag{Name: "basic-file", Destination: &c.BasicFile, Usage: "`FILE` with user:password for https sources"},
		&cli.StringFlag{Name: "auth-file", Destination: &c.AuthFile, Usage: "`FILE` with registry credentials, as docker's config.json or a kubernetes.io/dockerconfigjson Secret"},
		&cli.StringFlag{Name: "ca-file", Destination: &c.CAFile, Usage: "`FILE` of authorities that vouch for the server, instead of the built-in ones"},
		&cli.StringFlag{Name: "platform", Destination: &c.Platform, Usage: "platform of an image, such as linux/arm64 (default: this one)"},
		&cli.DurationFlag{Name: "retry-timeout", Destination: &c.Retry, Usage: "how long a download is tried again when the server or the network fails"},
	}
}

func otherFlags(c *Config) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "template", Destination: &c.Template, Usage: "render files as Go templates: a source that is a file, and in folders what ends with .tmpl (the ending goes)"},
		&cli.GenericFlag{Name: "var", Value: variables(&c.Vars), Usage: "`NAME` or NAME=VALUE that templates may use; a NAME alone is taken from the environment; repeatable"},
		&cli.GenericFlag{Name: "var-file", Value: lines(&c.VarFiles), Usage: "NAME=`FILE` whose content templates may use; repeatable"},
		&cli.StringFlag{Name: "template-delims", Destination: &c.Delims, Usage: "marks around an action in a template"},
		&cli.BoolFlag{Name: "dry-run", Destination: &c.DryRun, Usage: "say what would be done, and write nothing"},
		&cli.GenericFlag{Name: "report", Value: host.OneOf(&c.Report, "none", "json"), Usage: "write what was done on standard output: none or json"},
		&cli.DurationFlag{Name: "progress", Destination: &c.Progress, Usage: "log how far long work is this often (a bar on a terminal); 0 is never"},
		&cli.IntFlag{Name: "workers", Destination: &c.Workers, Usage: "files copied at the same time; 0 is one for each processor, at most four"},
	}
}

// addresses may hold a password or a signature.
func addresses(target *[]string) *host.List {
	l := lines(target)
	l.Show = showSource
	return l
}

// lines is a list that is one value a line in an environment variable.
func lines(target *[]string) *host.List {
	l := host.Strings(target)
	l.EnvSep = "\n"
	return l
}

// variables are printed by name: their values may be secrets.
func variables(target *[]string) *host.List {
	l := lines(target)
	l.Show = func(s string) string {
		name, _, found := strings.Cut(s, "=")
		if found {
			return name + "=" + secret.Mask
		}
		return name
	}
	return l
}
