//go:build !linux && !darwin

package udx

import (
	"errors"
	"net"
)

// setDontFragment is not known here: packets may be fragmented, so the path MTU
// is not probed and stays at its base.
func setDontFragment(*net.UDPConn) error { return errors.ErrUnsupported }
