//go:build !unix

package peers

import "os/exec"

// ownGroup does nothing: the system has no process groups.
func ownGroup(*exec.Cmd) {}

// killGroup kills the command. One that has ended already is fine.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
