package web

import (
	"bytes"
	"context"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// upgrade passes 101 on and hands both connections to package stream. The
// connection is over afterwards.
func (k *conn) upgrade(x *exchange) bool {
	x.record.Status, x.record.Upgrade = 101, true
	up := x.up
	send := x.route.Policy.AppendResponse(x.out.b[:0], &x.resp, &k.client, false)
	if _, err := k.net.Write(send); err != nil {
		return k.clientLost(x, err)
	}
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	k.dialing.Store(&cancel)
	defer k.dialing.Store(nil)
	if !k.main.set(stStream, 0) {
		return k.lost(x)
	}
	o := stream.Options{Idle: or(x.route.Limits.Silence, defaultSilence), Pool: k.server.Streams, Counters: new(stream.Counters)}
	o.AheadUp, o.AheadDown = bytes.Clone(x.in.bytes()), bytes.Clone(x.back.bytes())
	x.keepRecord()
	x.in.take(x.in.w - x.in.r)
	if k.wire != nil && k.sock != nil {
		k.wire.Conn = k.sock.Conn
	}
	k.up.Store(nil)
	res := stream.Relay(ctx, k.net, up.Conn, o)
	k.dropUpstream(x)
	x.record.In, x.record.Out, x.record.Err = res.Up, res.Down, res.Err
	if res.Ended == stream.ByIdle {
		x.record.Cause = IdleEnd
	}
	if cause, dead := k.main.cause(); dead {
		x.record.Cause = cause
	}
	return false
}

// keepRecord makes the record independent of the buffers and gives them back.
func (x *exchange) keepRecord() {
	r := &x.record
	r.Method, r.Host, r.Target = bytes.Clone(r.Method), bytes.Clone(r.Host), bytes.Clone(r.Target)
	x.out.free()
	x.back.free()
	x.out, x.back = nil, nil
}
