package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"waft/broker"
	"waft/broker/disk"
)

func (p *program) dataCommand() *cli.Command {
	where := []cli.Flag{
		configFlag(),
		&cli.StringFlag{Name: "data", Usage: "the data directory is `DIR` ($" + envData + ", or data in the configuration)"},
	}
	with := func(more ...cli.Flag) []cli.Flag { return append(append([]cli.Flag{}, where...), more...) }
	realm := &cli.StringFlag{Name: "realm", Value: defaultRealm, Usage: "of the realm `ID`"}
	return &cli.Command{
		Name:  "data",
		Usage: "back up, check, export and import what waft serve --data keeps",
		Subcommands: []*cli.Command{{
			Name:      "backup",
			Usage:     "copy the data directory, also while a server has it open",
			ArgsUsage: "TO",
			Description: "The copy in the new directory TO is a data directory itself, as of one moment. A server that runs makes it, and goes on;\n" +
				"on the same disk that takes next to no time and room.",
			Flags: where, Action: p.dataBackup,
		}, {
			Name:      "check",
			Usage:     "read everything in a data directory or backup, and say what is wrong",
			ArgsUsage: "[DIR]",
			Description: "Nothing is changed, and no server may have it open; of one that runs, check a backup. The exit code is 1 if something\n" +
				"is wrong.",
			Flags: where, Action: p.dataCheck,
		}, {
			Name:      "export",
			Usage:     "print a realm's messages, one JSON object in a line",
			ArgsUsage: "[DIR]",
			Description: "The channels come by name, each with its oldest message first. `waft data import` reads that, and so does publishing over\n" +
				"HTTP as application/x-ndjson. No server may have the directory open; of one that runs, export a backup.",
			Flags: with(realm), Action: p.dataExport,
		}, {
			Name:      "import",
			Usage:     "store messages that were exported, behind those that are there",
			ArgsUsage: "[FILE]",
			Description: "FILE, or the standard input, has lines such as `waft data export` prints; ids, order, times and publishers are kept. How much\n" +
				"of a channel is kept is up to the rules of the configuration. No server may have the directory open: publish over HTTP to one that runs.",
			Flags: with(realm, &cli.IntFlag{Name: "from", Value: 1, Usage: "begin with line `N`"}), Action: p.dataImport,
		}},
	}
}

// dataSettings is the configuration for a command on the data directory.
func (p *program) dataSettings(c *cli.Context) (*settings, error) {
	return load(overrides{config: c.String("config"), data: c.String("data")}, p.env)
}

// dataDir is the directory that a command is about: its argument, or the configured one.
func (p *program) dataDir(c *cli.Context) (string, error) {
	if c.Args().Len() > 1 {
		return "", configErrorf("%s takes one directory, not %q", c.Command.HelpName, c.Args().Get(1))
	}
	if dir := c.Args().First(); dir != "" {
		return dir, nil
	}
	s, err := p.dataSettings(c)
	if err != nil {
		return "", err
	}
	if s.Data == "" {
		return "", errNoData
	}
	return s.Data, nil
}

// reading opens that directory to be read.
func (p *program) reading(c *cli.Context) (dir string, r *disk.Reading, err error) {
	if dir, err = p.dataDir(c); err == nil {
		r, err = disk.Read(dir)
	}
	return dir, r, err
}

var errNoData = configErrorf("no data directory is configured; name it with --data")

func (p *program) dataBackup(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return configErrorf("%s takes one new directory to copy to", c.Command.HelpName)
	}
	s, err := p.dataSettings(c)
	if err != nil {
		return err
	}
	if s.Data == "" {
		return errNoData
	}
	to, err := filepath.Abs(c.Args().First())
	if err != nil {
		return err
	}
	err = askControl(c.Context, s.Data, "/backup", url.Values{"to": {to}})
	if errors.Is(err, errNobody) {
		err = backUpClosed(s.Data, to)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s is a backup of %s\n", to, s.Data)
	return err
}

// backUpClosed copies a data directory that no process has open.
func backUpClosed(dir, to string) error {
	r, err := disk.Read(dir) // which makes nothing where there is nothing
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	db, err := disk.Open(disk.Options{Dir: dir})
	if err != nil {
		return err
	}
	return firstError(db.Backup(to), db.Close())
}

func (p *program) dataCheck(c *cli.Context) error {
	dir, r, err := p.reading(c)
	if err != nil {
		return err
	}
	defer r.Close()
	report, err := r.Check(c.Context)
	if err != nil {
		return err
	}
	for _, fault := range report.Faults {
		fmt.Fprintln(p.stdout, fault)
	}
	if n := len(report.Faults) + report.More; n > 0 {
		return fmt.Errorf("the database in %s is damaged: %d faults; restore a backup, or save what can be read with waft data export", dir, n)
	}
	_, err = fmt.Fprintf(p.stdout, "%s is good: %d realms, %d channels, %d messages of %d bytes, %d idempotency keys, %d records\n",
		dir, report.Realms, report.Channels, report.Messages, report.Bytes, report.Keys, report.Records)
	return err
}

func (p *program) dataExport(c *cli.Context) error {
	_, r, err := p.reading(c)
	if err != nil {
		return err
	}
	defer r.Close()
	return export(c.Context, r, c.String("realm"), p.stdout)
}

func (p *program) dataImport(c *cli.Context) error {
	if c.Args().Len() > 1 {
		return configErrorf("%s takes one file, not %q", c.Command.HelpName, c.Args().Get(1))
	}
	s, err := p.dataSettings(c)
	if err != nil {
		return err
	}
	if s.Data == "" {
		return errNoData
	}
	realm, ok := s.realm(c.String("realm"))
	if !ok {
		return configErrorf("there is no realm %s in the configuration", broker.Quote(c.String("realm")))
	}
	from, name := p.stdin, "the standard input"
	if path := c.Args().First(); path != "" {
		f, err := os.Open(path) //nolint:gosec // G304: whoever runs the command says which file
		if err != nil {
			return err
		}
		defer f.Close()
		from, name = f, path
	}
	rules, err := realm.rules()
	if err != nil {
		return err
	}
	db, err := s.Disk.open(s.Data, newLogger(p.stderr, s.LogFormat, s.LogLevel))
	if err != nil {
		return err
	}
	engine, err := db.Engine(realm.ID, realm.Disk.options())
	if err == nil {
		err = engine.Start(func(*broker.Message) int { return 0 })
	}
	if err != nil {
		return firstError(err, db.Close())
	}
	in := &importing{engine: engine, keep: rules.Retention, most: realm.Limits.broker().MaxMessage}
	err = in.read(c.Context, from, max(c.Int("from"), 1))
	if closed := db.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s, line %d: %w; the lines before line %d are stored, so go on with --from %d", name, in.line, err, in.done+1, in.done+1)
	}
	fmt.Fprintf(p.stderr, "%d messages are imported", in.stored)
	if in.unkept > 0 {
		fmt.Fprintf(p.stderr, "; %d more are of channels whose rule keeps no history, and are not", in.unkept)
	}
	fmt.Fprintln(p.stderr)
	return nil
}
