package main

import (
	"strings"
	"testing"
)

func TestInvokedAs(t *testing.T) {
	cached := "/home/u/.cache/go-build/de/" + strings.Repeat("0123456789abcdef", 4) + "-d/waft"
	for _, c := range []struct{ name, arg0, dir, want string }{
		{"on_the_path", "waft", ".", "waft"},
		{"by_its_path", "./bin/waft", ".", "./bin/waft"},
		{"with_a_space_in_its_path", "/my files/waft", ".", "'/my files/waft'"},
		{"by_go_run", "/tmp/go-build1955868203/b001/exe/waft", "../..", "go run ./cmd/waft"},
		{"by_go_run_from_the_build_cache", cached, "../..", "go run ./cmd/waft"},
		{"by_go_run_in_its_own_folder", cached, ".", "go run ."},
		{"by_go_run_from_elsewhere", cached, "/", "waft"},
		{"by_go_run_on_windows", `C:\Temp\go-build12\b001\exe\waft.exe`, "../..", "go run ./cmd/waft"},
		{"in_a_folder_called_like_the_cache", "/go-build/waft", ".", "/go-build/waft"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(c.dir)
			if got := invokedAs(c.arg0); got != c.want {
				t.Errorf("%s: %s, want %s", c.arg0, got, c.want)
			}
		})
	}
}
