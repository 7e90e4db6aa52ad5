package host

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// completions makes the scripts. They hold every word, so that completing does
// not start the program.
func completions() map[string]func([]*cli.Command) string {
	return map[string]func([]*cli.Command) string{"bash": bash, "zsh": zsh, "fish": fish}
}

// words are the visible flags of a command and the words it takes.
func words(cmd *cli.Command, all []*cli.Command) []string {
	var list []string
	switch cmd.Name {
	case "probe", "demo":
		list = roleNames(all)
	case "completion":
		list = []string{"bash", "zsh", "fish"}
	}
	for _, sub := range subs(cmd) {
		list = append(list, sub.Name)
	}
	for _, f := range cmd.Flags {
		if o, ok := f.(*option); ok && !o.hidden {
			list = append(list, "--"+o.name())
		}
	}
	return append(list, "--help")
}

// subs are the commands of a role.
func subs(cmd *cli.Command) []*cli.Command {
	if c := of(cmd); c != nil {
		return c.subs
	}
	return nil
}

func names(cmds []*cli.Command) string {
	var list []string
	for _, cmd := range cmds {
		list = append(list, cmd.Name)
	}
	return strings.Join(list, " ")
}

func bash(cmds []*cli.Command) string {
	var b strings.Builder
	b.WriteString("# sidecar completion for bash: source <(sidecar completion bash)\n")
	b.WriteString("_sidecar() {\n  local words cur=\"${COMP_WORDS[COMP_CWORD]}\" sub=\n  if [ \"$COMP_CWORD\" -gt 2 ]; then sub=\"${COMP_WORDS[2]}\"; fi\n")
	fmt.Fprintf(&b, "  if [ \"$COMP_CWORD\" -eq 1 ]; then words=%q; else\n  case \"${COMP_WORDS[1]}/$sub\" in\n", names(cmds))
	for _, cmd := range cmds {
		for _, sub := range subs(cmd) {
			fmt.Fprintf(&b, "    %s/%s) words=%q ;;\n", cmd.Name, sub.Name, strings.Join(words(sub, cmds), " "))
		}
		fmt.Fprintf(&b, "    %s/*) words=%q ;;\n", cmd.Name, strings.Join(words(cmd, cmds), " "))
	}
	b.WriteString("  esac; fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n")
	b.WriteString("complete -o default -F _sidecar sidecar\n")
	return b.String()
}

func zsh(cmds []*cli.Command) string {
	var b strings.Builder
	b.WriteString("#compdef sidecar\n# sidecar completion for zsh: source <(sidecar completion zsh)\n")
	b.WriteString("_sidecar() {\n  local -a list\n  local sub=\n  if (( CURRENT > 3 )); then sub=\"${words[3]}\"; fi\n")
	fmt.Fprintf(&b, "  if (( CURRENT == 2 )); then list=(%s); else\n  case \"${words[2]}/$sub\" in\n", names(cmds))
	for _, cmd := range cmds {
		for _, sub := range subs(cmd) {
			fmt.Fprintf(&b, "    %s/%s) list=(%s) ;;\n", cmd.Name, sub.Name, strings.Join(words(sub, cmds), " "))
		}
		fmt.Fprintf(&b, "    %s/*) list=(%s) ;;\n", cmd.Name, strings.Join(words(cmd, cmds), " "))
	}
	b.WriteString("  esac; fi\n  compadd -- $list || _files\n}\ncompdef _sidecar sidecar\n")
	return b.String()
}

func fish(cmds []*cli.Command) string {
	var b strings.Builder
	b.WriteString("# sidecar completion for fish: sidecar completion fish | source\n")
	for _, cmd := range cmds {
		fmt.Fprintf(&b, "complete -c sidecar -n __fish_use_subcommand -f -a %s -d %s\n", cmd.Name, fishQuote(cmd.Usage))
	}
	for _, cmd := range cmds {
		seen := "__fish_seen_subcommand_from " + cmd.Name
		for _, sub := range subs(cmd) {
			fishWords(&b, seen+"; and __fish_seen_subcommand_from "+sub.Name, words(sub, cmds))
		}
		fishWords(&b, seen, words(cmd, cmds))
	}
	return b.String()
}

func fishWords(b *strings.Builder, seen string, words []string) {
	for _, word := range words {
		if flag, ok := strings.CutPrefix(word, "--"); ok {
			fmt.Fprintf(b, "complete -c sidecar -n '%s' -l %s\n", seen, flag)
		} else {
			fmt.Fprintf(b, "complete -c sidecar -n '%s' -f -a %s\n", seen, word)
		}
	}
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
