//go:build !linux

package udx

import (
	"log/slog"
	"net"
)

func newUDPIO(conn *net.UDPConn, _ *slog.Logger) packetIO {
	c := new(udpIO)
	c.init(conn)
	return c
}
