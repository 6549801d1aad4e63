'use strict'
// A blind relay of the reference implementation: node relay.js DIRECTORY HOST PORT, where DIRECTORY has its packages and
// HOST:PORT is where to start from. It prints its public key and runs until stdin ends.

const path = require('path')
const load = require('module').createRequire(path.join(process.argv[2], 'package.json'))
const DHT = load('hyperdht')
const { Server } = load('blind-relay')

const node = new DHT({ bootstrap: [{ host: process.argv[3], port: Number(process.argv[4]) }], host: '127.0.0.1', ephemeral: true })
const relay = new Server({ createStream: opts => node.createRawStream({ ...opts, framed: true }) })
const server = node.createServer(socket => {
  socket.on('error', () => {})
  relay.accept(socket, { id: socket.remotePublicKey }).on('error', () => {})
})
server.listen().then(() => console.log(server.publicKey.toString('hex')))
process.stdin.on('end', () => process.exit(0)).resume()
