// How a service in Node knows its caller: from the plain identity fields of a
// gateway that it trusts by address, or from a Transaction Token that the
// gateway signed. Both return the caller and the second at which the caller's
// time is over, or null when nobody is named, and throw when what is there
// cannot be believed: a Malformed when it could be read in more than one way.

import { BlockList, isIPv6 } from 'node:net'
import { createRemoteJWKSet, jwtVerify } from 'jose'

export class Malformed extends Error {}

// The plain identity fields that mean something. Others of the prefix do not.
const plain = ['id', 'issuer', 'kind', 'name', 'email', 'tenant', 'client-id', 'session', 'token-id', 'acr', 'amr',
  'roles', 'permissions', 'scopes', 'groups', 'groups-incomplete', 'auth-time', 'issued', 'expires', 'as-of',
  'actor', 'extra'].map((name) => 'x-user-' + name)

// The values of a field; an empty one is none.
const valuesOf = (fields, name) => (fields[name] ?? []).filter((value) => value !== '')

// A caller who is signed for, in a Transaction Token or, in messages alone, in a
// token for deferred work.
const anySigned = (fields) => ['txn-token', 'x-user-deferred'].some((name) => valuesOf(fields, name).length > 0)

const anyPlain = (fields) => plain.some((name) => valuesOf(fields, name).length > 0)

// Reads --trust: "cidr:127.0.0.0/8" or "txn:JWKS-URL". The function returned
// takes the request's fields, a map from lower-case names to lists of values,
// and the address of the peer.
export function trust(flag, trustDomain) {
  const [, kind, arg] = /^(cidr|txn):(.+)$/.exec(flag ?? '') ?? []
  if (kind === 'cidr') return plainFields(arg)
  if (kind === 'txn') return transactionTokens(new URL(arg), trustDomain)
  throw new Error('--trust is required: cidr:PREFIX or txn:JWKS-URL')
}

function plainFields(prefix) {
  const trusted = new BlockList() // a list of addresses, whatever its name says
  const [address, bits] = prefix.split('/')
  trusted.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
  return async (fields, peer) => {
    const one = (name) => {
      const values = valuesOf(fields, name)
      if (values.length > 1) throw new Malformed(`${name} occurs twice`)
      return values[0]
    }
    const text = (name) => element(one(name) ?? '')
    const list = (name) => (one(name)?.split(',') ?? []).map((e) => element(e) || malformed(`${name} has an empty element`))

    peer = peer.replace(/^::ffff:/, '')
    if (!trusted.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4')) return null
    if (!anyPlain(fields)) return null
    if (anySigned(fields)) throw new Malformed('identity fields beside a signed caller')
    if (!one('x-user-id') || !one('x-user-issuer')) throw new Malformed('half an identity')
    if ((one('x-user-groups-incomplete') ?? 'true') !== 'true') throw new Malformed('groups are incomplete or not')
    return lasting(seconds(one('x-user-expires')), {
      issuer: text('x-user-issuer'),
      subject: text('x-user-id'),
      kind: kindOf(one('x-user-kind')),
      name: text('x-user-name'),
      email: text('x-user-email'),
      tenant: text('x-user-tenant'),
      client_id: text('x-user-client-id'),
      roles: list('x-user-roles'),
      permissions: list('x-user-permissions'),
      scopes: list('x-user-scopes'),
      groups: list('x-user-groups'),
      provenance: 'asserted',
    })
  }
}

function malformed(why) {
  throw new Malformed(why)
}

// Unix seconds are digits only, up to the year 9999.
function seconds(value) {
  if (value === undefined) return undefined
  return /^[0-9]+$/.test(value) && Number(value) <= 253402300799 ? Number(value) : malformed('not a time')
}

// A caller is a user unless it says otherwise.
function kindOf(value = 'user') {
  return value === 'user' || value === 'service' ? value : malformed('not a kind')
}

// A caller whose time is not over; without an end it never is.
function lasting(end = Infinity, caller) {
  if (!(end > Date.now() / 1000)) throw new Error('the caller has expired')
  return { caller, end }
}

// Every byte that could be mistaken for something else comes percent-encoded.
function element(s) {
  s = s.replace(/^[ \t]+|[ \t]+$/g, '')
  if (!/^[ -+\--~]*$/.test(s)) malformed('a comma, or what is no printable ASCII')
  try {
    return decodeURIComponent(s)
  } catch {
    malformed('not percent-encoded UTF-8')
  }
}

function transactionTokens(jwksURL, trustDomain) {
  const keys = createRemoteJWKSet(jwksURL, { cooldownDuration: 1000 })
  return async (fields) => {
    const tokens = valuesOf(fields, 'txn-token')
    if (tokens.length === 0) return null
    if (tokens.length > 1 || tokens[0].includes(',')) throw new Malformed('two Transaction Tokens')
    if (anyPlain(fields) || valuesOf(fields, 'x-user-deferred').length > 0) throw new Malformed('a Transaction Token beside another caller')
    const { payload } = await jwtVerify(tokens[0], keys, {
      typ: 'txntoken+jwt',
      issuer: trustDomain,
      audience: trustDomain,
      algorithms: ['EdDSA', 'ES256', 'RS256'],
      requiredClaims: ['iat', 'exp', 'txn', 'sub', 'scope', 'req_wl'],
      maxTokenAge: '10 minutes',
      clockTolerance: 30,
    })
    const details = payload.tctx ?? {}
    return lasting(details.src_exp ?? payload.exp, {
      issuer: details.src_iss,
      subject: details.src_sub ?? payload.sub,
      kind: details.kind ?? 'user',
      name: details.name ?? '',
      email: details.email ?? '',
      tenant: details.tenant ?? '',
      client_id: details.client_id ?? '',
      roles: details.roles ?? [],
      permissions: details.entitlements ?? [],
      scopes: payload.scope.split(' ').filter((s) => s !== ''),
      groups: details.groups ?? [],
      provenance: 'signed',
    })
  }
}
