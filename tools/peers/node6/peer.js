'use strict'
// Reference peer of hyperdht 6, of its transport (UDX) and of its secret streams.

const crypto = require('crypto')
const net = require('net')
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')
const SecretStream = require('@hyperswarm/secret-stream')
const UDX = require('udx-native')
const { serve, event, hex, unhex, pattern, must } = require('../line')

const udx = new UDX()
const nodes = new Map()
const servers = new Map()
const conns = new Map()
const sockets = new Map() // UDP sockets of bare UDX streams
let testnet = null
let lastConn = 0

const node = m => must(nodes, 'node', m.node)
const conn = m => must(conns, 'connection', m.conn)
const keyPair = seed => DHT.keyPair(unhex(seed))

// track reports what happens on a duplex stream. With echo it sends everything back, with sink it counts and digests
// instead of reporting each piece; autoEnd (the default) ends our half when the remote ended its own.
function track (c, { echo, sink, autoEnd = true }) {
  const id = 'c' + (++lastConn)
  const digest = crypto.createHash('sha256')
  let bytes = 0
  conns.set(id, c)
  c.on('open', () => event('open', { conn: id, handshakeHash: hex(c.handshakeHash), publicKey: hex(c.publicKey), remotePublicKey: hex(c.remotePublicKey) }))
  c.on('data', data => {
    bytes += data.length
    if (sink) digest.update(data)
    else if (!echo) event('data', { conn: id, data: hex(data) })
    if (echo && !c.write(data)) { c.pause(); c.once('drain', () => c.resume()) }
  })
  c.on('message', data => event('message', { conn: id, data: hex(data) }))
  c.on('end', () => {
    event('end', { conn: id, bytes, sha256: sink ? digest.digest('hex') : undefined })
    if (autoEnd) c.end()
  })
  c.on('error', e => event('conn-error', { conn: id, error: e.message, code: e.code }))
  c.on('close', () => { conns.delete(id); event('conn-close', { conn: id }) })
  return id
}

const drained = c => new Promise((resolve, reject) => {
  const done = settle => value => { c.off('drain', ok); c.off('close', lost); settle(value) }
  const ok = done(resolve)
  const lost = done(() => reject(new Error('the connection closed')))
  c.once('drain', ok)
  c.once('close', lost)
})

const plainAnswer = r => r && { from: r.from && { host: r.from.host, port: r.from.port, id: hex(r.from.id) }, to: r.to, rtt: r.rtt, status: r.error, token: hex(r.token), value: hex(r.value) }

serve({
  // testnet starts size nodes on 127.0.0.1; the first one is for bootstrapping only, the others are persistent at once.
  async testnet (m) {
    testnet = await createTestnet(m.size || 4, { host: m.host || '127.0.0.1' })
    return { bootstrap: testnet.bootstrap, nodes: testnet.nodes.map(n => ({ port: n.address().port, id: hex(n.id) })) }
  },
  async node (m) {
    const options = { bootstrap: m.bootstrap || (testnet && testnet.bootstrap), host: '127.0.0.1', port: m.port || 0, ephemeral: m.ephemeral !== false, ...m.opts }
    if (m.firewalled !== undefined) options.firewalled = m.firewalled
    const n = new DHT(options)
    await n.fullyBootstrapped()
    nodes.set(m.node, n)
    return { address: n.address(), id: hex(n.id), firewalled: n.firewalled, ephemeral: n.ephemeral, publicKey: hex(n.defaultKeyPair.publicKey) }
  },
  async bootstrapper (m) {
    const n = DHT.bootstrapper(m.port || 0, '127.0.0.1', m.opts)
    await n.fullyBootstrapped()
    nodes.set(m.node, n)
    return { address: n.address() }
  },
  status: m => ({ address: node(m).address(), remoteAddress: node(m).remoteAddress(), id: hex(node(m).id), firewalled: node(m).firewalled, ephemeral: node(m).ephemeral, nodes: node(m).toArray() }),
  async destroyNode (m) { await node(m).destroy({ force: !!m.force }); nodes.delete(m.node) },

  // listen refuses the remote whose public key is reject.
  async listen (m) {
    const s = node(m).createServer({ firewall: key => m.reject === hex(key), ...m.opts }, c => {
      const id = track(c, m)
      event('connection', { server: m.server, conn: id, remotePublicKey: hex(c.remotePublicKey), handshakeHash: hex(c.handshakeHash) })
    })
    const pair = keyPair(m.seed)
    await s.listen(pair)
    servers.set(m.server, s)
    return { publicKey: hex(pair.publicKey), address: { host: s.address().host, port: s.address().port }, relayAddresses: s.relayAddresses }
  },
  async unlisten (m) { await must(servers, 'server', m.server).close(); servers.delete(m.server) },
  connect (m) {
    const c = node(m).connect(m.publicKey, { keyPair: keyPair(m.seed), localConnection: m.lan !== false, ...m.opts })
    return { conn: track(c, m) }
  },
  write (m) { conn(m).write(unhex(m.data)) },
  // pump writes bytes that the test can make itself, pattern(0, bytes), and answers when they were handed over.
  async pump (m) {
    const c = conn(m)
    const chunk = m.chunk || 65536
    for (let at = 0; at < m.bytes; at += chunk) {
      if (!c.write(pattern(at, Math.min(chunk, m.bytes - at)))) await drained(c)
    }
  },
  async send (m) { await conn(m).send(unhex(m.data)) },
  end (m) { conn(m).end() },
  destroyConn (m) { conn(m).destroy() },

  async immutablePut (m) {
    const r = await node(m).immutablePut(unhex(m.value), m.opts)
    return { hash: hex(r.hash), closestNodes: r.closestNodes.length }
  },
  async immutableGet (m) { const r = await node(m).immutableGet(unhex(m.hash), m.opts); return { found: !!r, value: r && hex(r.value) } },
  async mutablePut (m) {
    const r = await node(m).mutablePut(keyPair(m.seed), unhex(m.value), { seq: m.seq, ...m.opts })
    return { publicKey: hex(r.publicKey), seq: r.seq, signature: hex(r.signature), closestNodes: r.closestNodes.length }
  },
  async mutableGet (m) {
    const r = await node(m).mutableGet(unhex(m.publicKey), { seq: m.seq, latest: m.latest, ...m.opts })
    return r ? { found: true, seq: r.seq, value: hex(r.value), signature: hex(r.signature) } : { found: false }
  },
  async announce (m) { await node(m).announce(unhex(m.topic), keyPair(m.seed), m.relays || []).finished() },
  async unannounce (m) { await node(m).unannounce(unhex(m.topic), keyPair(m.seed)) },
  async lookup (m) {
    const peers = {}
    for await (const r of node(m).lookup(unhex(m.topic))) for (const p of r.peers) peers[hex(p.publicKey)] = p.relayAddresses
    return { peers }
  },
  async findPeer (m) {
    for await (const r of node(m).findPeer(unhex(m.publicKey))) return { found: true, peer: { publicKey: hex(r.peer.publicKey), relayAddresses: r.peer.relayAddresses } }
    return { found: false }
  },
  async ping (m) { return plainAnswer(await node(m).ping({ host: m.host, port: m.port })) },
  // onrequest makes a node answer custom requests of dht-rpc: command adds the byte ff to the value and sends it back.
  onrequest (m) {
    node(m).on('request', req => {
      event('request', { node: m.node, command: req.command, value: hex(req.value), target: hex(req.target) })
      req.reply(Buffer.concat([req.value || Buffer.alloc(0), Buffer.from([0xff])]), { token: !!m.token })
    })
  },
  async request (m) {
    return plainAnswer(await node(m).request({ command: m.command, token: unhex(m.token) || null, target: unhex(m.target) || null, value: unhex(m.value) || null }, { host: m.host, port: m.port }))
  },
  async query (m) {
    const replies = []
    for await (const r of node(m).query({ target: unhex(m.target), command: m.command, value: unhex(m.value) || null }, { commit: m.commit })) replies.push(plainAnswer(r))
    return { replies }
  },

  // Secret streams over TCP, without the DHT. As on UDX, each side ends for itself.
  async secretListen (m) {
    const pair = keyPair(m.seed)
    const server = net.createServer({ allowHalfOpen: true }, socket => {
      const c = new SecretStream(false, socket, { keyPair: pair, ...m.opts })
      event('connection', { server: m.server, conn: track(c, m) })
    })
    await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return { port: server.address().port, publicKey: hex(pair.publicKey) }
  },
  secretConnect (m) {
    const options = { keyPair: keyPair(m.seed), ...m.opts }
    if (m.publicKey) options.remotePublicKey = unhex(m.publicKey)
    return { conn: track(new SecretStream(true, net.connect({ port: m.port, host: '127.0.0.1', allowHalfOpen: true }), options), m) }
  },

  // Bare UDX: a socket, and streams on it. The two sides choose their stream numbers beforehand.
  udxSocket (m) {
    const socket = udx.createSocket()
    socket.bind(m.port || 0, '127.0.0.1')
    sockets.set(m.socket, socket)
    return { port: socket.address().port }
  },
  // accept lets a stream take packets that arrive before it was told where its remote is.
  udxStream (m) {
    const s = udx.createStream(m.id, { seq: m.seq || 0, firewall: m.accept ? () => false : undefined })
    s.connect(must(sockets, 'socket', m.socket), m.remoteId, m.port, m.host || '127.0.0.1', { ack: m.ack || 0 })
    return { conn: track(s, m) }
  },
  udxInfo: m => { const s = conn(m); return { rtt: s.rtt, mtu: s.mtu, cwnd: s.cwnd, inflight: s.inflight, retransmits: s.retransmits, fastRecoveries: s.fastRecoveries, rtoCount: s.rtoCount } },
  udxMove (m) { return conn(m).changeRemote(must(sockets, 'socket', m.socket), m.remoteId, m.port, m.host || '127.0.0.1') },
  async udxClose (m) { await must(sockets, 'socket', m.socket).close(); sockets.delete(m.socket) }
})
