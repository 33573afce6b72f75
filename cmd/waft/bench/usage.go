package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// usage is what a process has used, with all that descend from it: nginx and Pushpin are several.
type usage struct {
	cpu       time.Duration // in steps of 10 ms
	resident  int64         // bytes; what processes share counts for each
	processes int
}

const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go knows

var errNoProc = errors.New("there is no /proc here to tell what processes use")

// usageOf reads /proc, so it works on Linux.
func usageOf(pid int) (usage, error) {
	own, err := readStat(pid)
	if err != nil {
		if _, none := os.Stat("/proc/self/stat"); none != nil {
			return usage{}, errNoProc
		}
		return usage{}, fmt.Errorf("what process %d uses: %w", pid, err)
	}
	children := map[int][]procStat{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, f := range files {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			continue
		}
		if s, err := readStat(child); err == nil { // it may have ended meanwhile
			children[s.parent] = append(children[s.parent], s)
		}
	}
	var u usage
	for todo := []procStat{own}; len(todo) > 0; todo = todo[1:] {
		u.cpu += todo[0].cpu
		u.resident += todo[0].resident
		u.processes++
		todo = append(todo, children[todo[0].pid]...)
	}
	return u, nil
}

// procStat is one process.
type procStat struct {
	pid, parent int
	cpu         time.Duration // its own, and of its children that have ended
	resident    int64         // bytes
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	s, err := parseStat(text)
	s.pid = pid
	return s, err
}

// parseStat reads a line of proc(5) stat. The name in parentheses may contain anything, so fields count from its end.
func parseStat(text []byte) (procStat, error) {
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 22 {
		return procStat{}, errors.New("/proc/PID/stat is not what it should be")
	}
	number := func(field int) int64 { // as numbered in proc(5)
		n, err := strconv.ParseInt(string(fields[field-3]), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return procStat{
		parent:   int(number(4)),
		cpu:      time.Duration(number(14)+number(15)+number(16)+number(17)) * tick,
		resident: number(24) * int64(os.Getpagesize()),
	}, nil
}

// descriptorLimit is how many files this process may have open, as far as can be told.
func descriptorLimit() int {
	text, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 1024
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("Max open files")); ok {
			if f := bytes.Fields(rest); len(f) > 1 {
				if n, err := strconv.Atoi(string(f[1])); err == nil { // the hard limit: the Go runtime raises the soft one to it
					return n
				}
				return 1 << 20 // unlimited
			}
		}
	}
	return 1024
}
