//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package randomaccess

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the exclusive advisory lock of the whole file that the npm package
// fsctl takes. Closing the file releases it.
func lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var flockErr error
	if err := conn.Control(func(fd uintptr) {
		for {
			flockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(flockErr, unix.EINTR) {
				return
			}
		}
	}); err != nil {
		return err
	}
	if errors.Is(flockErr, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return flockErr
}
