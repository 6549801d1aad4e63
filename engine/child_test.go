package engine_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Tests that need a second process run the test binary again: TestChild then is the
// program named by this variable.
const childVariable = "CAIRN_ENGINE_TEST_CHILD"

// children are the programs of second processes. They print what they have to say
// and return an error for exit status 1.
var children = map[string]func(args []string) error{}

// TestChild is the second process of other tests; by itself it does nothing.
func TestChild(t *testing.T) {
	line, ok := os.LookupEnv(childVariable)
	if !ok {
		t.Skip("runs only as the second process of other tests")
	}
	args := strings.Split(line, "\n")
	if err := children[args[0]](args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childCommand returns the command that runs a program of children.
func childCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join(args, "\n"))
	cmd.Stderr = os.Stderr
	return cmd
}

// testContext is for code that runs in a second process.
var testContext = context.Background()
