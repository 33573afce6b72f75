package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A promise without its test is a wish.
func TestGuarantees_names_tests_that_exist(t *testing.T) {
	text, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+)` `(Test[A-Za-z0-9_]*)`").FindAllStringSubmatch(string(text), -1)
	if all := strings.Count(string(text), "`Test"); len(named) < 20 || len(named) != all {
		t.Errorf("of %d tests that the page names, %d have their package in front", all, len(named))
	}
	for _, n := range named {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(n[1]), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, path := range files {
			code, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(code), "\nfunc "+n[2]+"(t *testing.T)")
		}
		if !found {
			t.Errorf("there is no test %s in %s", n[2], n[1])
		}
	}
}
