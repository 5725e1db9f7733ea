// SPDX-License-Identifier: MIT
// node http2_front.js KEY CERTIFICATE URL: speaks HTTP/2 for the host at URL, at a port that it prints.  After a line from
// standard input the sessions that are open say no more, as if the network had lost them.
'use strict'
const fs = require('fs'), http = require('http'), http2 = require('http2')

const [key, certificate, url] = process.argv.slice(2)
const host = new URL(url), open = new Set(), lost = new Set()
const ofConnection = ['connection', 'keep-alive', 'transfer-encoding']

function without (headers, isUnwanted) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isUnwanted(name)))
}

const server = http2.createSecureServer({ key: fs.readFileSync(key), cert: fs.readFileSync(certificate) })
server.on('session', session => {
  open.add(session)
  session.on('close', () => open.delete(session))
  session.on('error', () => {})
})
server.on('stream', (stream, headers) => {
  stream.on('error', () => {})
  if (lost.has(stream.session)) return
  const request = http.request({
    host: host.hostname, port: host.port, path: headers[':path'], method: headers[':method'],
    headers: without(headers, name => name.startsWith(':'))
  }, answer => {
    stream.respond({ ':status': answer.statusCode, ...without(answer.headers, name => ofConnection.includes(name)) })
    answer.pipe(stream)
  })
  request.on('error', () => stream.destroy())
  stream.pipe(request)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('data', () => {
  open.forEach(session => lost.add(session))
  console.log('lost')
})
