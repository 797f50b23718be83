// A gRPC service in Node that answers with the caller it sees.
//
//   node examples/node/grpc.mjs --listen 127.0.0.1:9092 --trust cidr:127.0.0.0/8

import { fileURLToPath } from 'node:url'
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { flags } from './flags.mjs'
import { Unavailable } from './identity.mjs'

const { host, port, identify } = flags('grpc.mjs', 'A gRPC service that answers with the caller it sees.', '127.0.0.1:9092')

const proto = fileURLToPath(new URL('../internal/examplespb/whoami.proto', import.meta.url))
const { WhoAmI } = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true })).authctx.examples.v1

const unauthenticated = { code: grpc.status.UNAUTHENTICATED, details: 'Authentication is required.' }
const unavailable = { code: grpc.status.UNAVAILABLE, details: 'The credentials cannot be checked at the moment.' }

// The caller of a call and the end of that caller's time, or an error with the
// right status.
async function known(call) {
  const fields = {}
  // Node makes one value of a field that occurs twice, with ", " in between, which
  // nobody writes into a single one.
  for (const name of Object.keys(call.metadata.getMap())) {
    fields[name] = call.metadata.get(name).flatMap((value) => String(value).split(', '))
  }
  const peer = call.getPeer().replace(/:\d+$/, '')
  let answer
  try {
    answer = await identify(fields, peer)
  } catch (error) {
    console.error(error.message)
    if (error instanceof Unavailable) throw unavailable
  }
  if (!answer) throw unauthenticated
  return answer
}

const callerOf = async (call) => (await known(call)).caller

// Makes an asynchronous function a unary handler.
const unary = (handle) => (call, callback) => {
  handle(call).then((answer) => callback(null, answer), (error) => callback(error))
}

// Ends a stream when its caller's time is over.
function endWith(call, end) {
  const longest = 2 ** 31 - 1 // milliseconds that a timer can wait
  const left = end * 1000 - Date.now()
  if (left <= 0) return call.emit('error', unauthenticated)
  const timer = setTimeout(() => endWith(call, end), Math.min(left, longest))
  for (const over of ['close', 'cancelled']) call.once(over, () => clearTimeout(timer))
}

const server = new grpc.Server()
server.addService(WhoAmI.service, {
  Get: unary(callerOf),
  Admin: unary(async (call) => {
    const caller = await callerOf(call)
    if (!caller.roles.includes('admin')) throw { code: grpc.status.PERMISSION_DENIED, details: 'The caller may not do this.' }
    return caller
  }),
  Chat: async (call) => {
    let end
    try {
      end = (await known(call)).end
    } catch (error) {
      return call.destroy(error)
    }
    endWith(call, end)
    call.pipe(call) // each message goes back as it came
  },
})

server.bindAsync(`${host}:${port}`, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error
  console.log(`listening on ${host}:${port}`)
})
process.once('SIGTERM', () => {
  server.tryShutdown(() => {})
  setTimeout(() => server.forceShutdown(), 3000).unref() // streams may go on for ever
})
