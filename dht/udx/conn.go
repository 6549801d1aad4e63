package udx

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/protocol"
	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// Read reads bytes of the ordered stream. After the remote has ended it returns
// io.EOF, after it has destroyed the stream ErrReset, in both cases behind the
// bytes that came before.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	for {
		switch {
		case s.gone:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case s.readBy.expired:
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			s.mu.Unlock()
			return 0, nil
		}
		if n := s.proto.Read(p); n > 0 {
			if s.over {
				s.mu.Unlock()
			} else {
				s.leave(s.mux.now()) // the window may have opened
			}
			return n, nil
		}
		if err := s.readEnd(); err != nil {
			s.mu.Unlock()
			return 0, err
		}
		s.readable.Wait()
	}
}

// readEnd is the error behind the last byte, nil while there may be more.
func (s *Stream) readEnd() error {
	switch {
	case s.proto.EOF():
		return io.EOF
	case s.over:
		return s.endError()
	}
	return nil
}

// endError is the error of what cannot be done any more.
func (s *Stream) endError() error {
	if s.err == nil || s.gone {
		return net.ErrClosed
	}
	return s.err
}

// Write copies p to the stream. It waits while more than 256 KiB are unsent, and
// returns before p is acknowledged. A deadline that passes leaves the bytes
// counted in the stream.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	written := 0
	for {
		var err error
		switch {
		case s.ended || s.over:
			err = s.endError()
		case s.route == nil:
			err = ErrNotConnected
		case s.writeBy.expired:
			err = os.ErrDeadlineExceeded
		}
		if err != nil || len(p) == written {
			s.mu.Unlock()
			return written, err
		}
		now := s.mux.now()
		if n := s.proto.Write(now, p[written:]); n > 0 {
			written += n
			if written == len(p) {
				s.leave(now)
				return written, nil
			}
			if s.proto.Ready(now) {
				s.mux.send.push(s)
			}
			s.setTimer(now)
		}
		s.writable.Wait()
	}
}

// CloseWrite ends our direction: behind what was written the remote reads the
// end of the stream. The other direction goes on.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	if s.ended || s.over {
		s.mu.Unlock()
		return net.ErrClosed
	}
	if s.route == nil {
		s.mu.Unlock()
		return ErrNotConnected
	}
	s.ended = true
	now := s.mux.now()
	s.proto.CloseWrite(now)
	s.writable.Broadcast()
	s.leave(now)
	return nil
}

// Close ends the stream in an orderly way and does not wait: what was written is
// still delivered, what arrives is thrown away. If the remote has got everything
// and does not end within the linger time of the options, the stream is
// destroyed. A stream that is not connected just ends.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return nil
	}
	s.gone, s.ended = true, true
	now := s.mux.now()
	if s.relay != nil {
		s.proto.Close(net.ErrClosed)
	} else {
		s.proto.Abandon(now)
	}
	s.readable.Broadcast()
	s.writable.Broadcast()
	s.leave(now)
	return nil
}

// Send sends an unordered message, once: it may get lost, or arrive twice. It may
// be empty. A message of more than 1,152 bytes (1,132 over IPv6) fits the packets
// of every path only when path MTU discovery says so, see Stats; more than 1,452
// bytes (1,432) are refused with ErrMessageTooLarge.
func (s *Stream) Send(b []byte) error {
	s.mu.Lock()
	var err error
	switch {
	case s.gone || s.over:
		err = s.endError()
	case s.route == nil:
		err = ErrNotConnected
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	if most := s.proto.Path().MaxPayload(protocol.MaxMTU); len(b) > most {
		s.mu.Unlock()
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMessageTooLarge, len(b), most)
	}
	packet := s.proto.AppendMessage(make([]byte, 0, wire.HeaderSize+len(b)), b)
	via := s.route
	s.mu.Unlock()
	return via.socket.WriteTo(packet, via.addr)
}

// Receive returns the next unordered message, which is the caller's. Up to 256
// messages, of 256 KiB together, wait to be received; more are dropped.
func (s *Stream) Receive(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { s.broadcast(&s.readable) })
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.gone {
			return nil, net.ErrClosed
		}
		if b, ok := s.proto.Message(); ok {
			return b, nil
		}
		switch {
		case s.over && s.err == nil:
			return nil, io.EOF
		case s.over:
			return nil, s.endError()
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		s.readable.Wait()
	}
}

// LocalAddr is the address of the socket that the stream is connected through;
// it is the unspecified one before that.
func (s *Stream) LocalAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.route == nil {
		return &net.UDPAddr{}
	}
	return s.route.socket.LocalAddr()
}

// RemoteAddr is where packets go, a *net.UDPAddr; it is the unspecified one
// before the stream is connected.
func (s *Stream) RemoteAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.route == nil {
		return &net.UDPAddr{}
	}
	return s.route.netAddr
}

// Remote is where packets go, and the id there; zero before Connect.
func (s *Stream) Remote() Remote {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.route == nil {
		return Remote{}
	}
	return Remote{ID: s.route.remoteID, Addr: s.route.addr}
}

// Socket is the socket that the stream is connected through, nil before that.
func (s *Stream) Socket() *Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.route == nil {
		return nil
	}
	return s.route.socket
}

// SetDeadline sets both deadlines, as net.Conn has it.
func (s *Stream) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline is when Read gives up with os.ErrDeadlineExceeded; the zero
// time means never.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBy.set(t)
	return nil
}

// SetWriteDeadline is when Write gives up with os.ErrDeadlineExceeded; the zero
// time means never.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy.set(t)
	return nil
}
