package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst puts a command's flags before its other arguments, because the cli package stops looking for flags at
// the first argument that is none: `waft subscribe '/chat/**' --count 1` would subscribe to a channel /--count.
// What stands behind "--" stays as it is, and so does a negative number, which is JSON.
func flagsFirst(commands []*cli.Command, args []string) []string {
	var path []string
	var command *cli.Command
	for len(args) > 0 {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[0]) })
		if i < 0 {
			break
		}
		command, path, args = commands[i], append(path, args[0]), args[1:]
		commands = command.Subcommands
	}
	if command == nil || len(command.Subcommands) > 0 {
		return append(path, args...)
	}
	var flags, others []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			others = append(others, args...)
			args = nil
		case !isFlag(arg):
			others = append(others, arg)
		default:
			flags = append(flags, arg)
			if takesValue(command, arg) && len(args) > 0 {
				flags, args = append(flags, args[0]), args[1:]
			}
		}
	}
	path = append(path, flags...)
	if len(others) > 0 {
		path = append(append(path, "--"), others...)
	}
	return path
}

// isFlag tells "-x" and "--x" from "-", from "-5" and from words.
func isFlag(arg string) bool {
	name := strings.TrimLeft(arg, "-")
	return name != arg && name != "" && (name[0] < '0' || name[0] > '9')
}

// takesValue tells whether the flag's value is the next argument.
func takesValue(c *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range c.Flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false
}
