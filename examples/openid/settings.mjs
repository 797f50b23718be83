// What the provider knows: its clients, its users and the APIs that tokens are
// for.
import { X509Certificate, randomBytes } from 'node:crypto';
import { errors } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const api = 'https://api.example.com';
const scope = 'orders.read orders.write';

// Every way to write an access token for the API is a resource of its own (RFC
// 8707): https://api.example.com/ES256, or /opaque.
const ways = ['opaque', 'RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

function getResourceServerInfo(_, resource) {
  const way = ways.find((name) => resource === `${api}/${name}`);
  if (!way) throw new errors.InvalidTarget();
  const common = { scope, audience: api, accessTokenTTL: 600 };
  return way === 'opaque'
    ? { ...common, accessTokenFormat: 'opaque' }
    : { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg: way } } };
}

const client_secret = 's3cret+/:%& s3cret'; // every character that has to be escaped
const program = (client_id, more) => ({
  client_id, client_secret, scope, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], ...more,
});

function clients(certificate) {
  const list = [
    {
      client_id: 'web', client_secret, userinfo_signed_response_alg: 'ES256',
      grant_types: ['authorization_code', 'refresh_token', 'implicit'],
      response_types: ['code', 'id_token', 'code id_token'],
      redirect_uris: ['https://app.example.com/callback'],
    },
    program('machine'),
    program('machine-dpop', { dpop_bound_access_tokens: true }),
    program('gateway', { grant_types: [] }), // asks about tokens
  ];
  const withCertificate = { client_secret: undefined, tls_client_certificate_bound_access_tokens: true };
  if (certificate) {
    const cert = new X509Certificate(certificate);
    list.push(program('machine-mtls', {
      ...withCertificate, token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_san_uri: 'spiffe://prod.example/machine',
    }), program('machine-self-signed', {
      ...withCertificate, token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [{ ...cert.publicKey.export({ format: 'jwk' }), x5c: [cert.raw.toString('base64')] }] },
    }));
  }
  return list;
}

function person(sub) {
  const roles = [sub === 'alice' ? 'admin' : 'user'];
  return { sub, name: `${sub} Example`, email: `${sub}@example.com`, tenant: 'acme', roles };
}

// What was issued, sessions and nonces survive a change of keys: a subclass shares
// its memory, and the class itself would get another for every provider.
class Memory extends MemoryAdapter {}
const secret = randomBytes(32);

export function settings({ keys, client, secure }) {
  return {
    jwks: { keys },
    adapter: Memory,
    clients: clients(client),
    cookies: { keys: [secret.toString('hex')] },
    findAccount: (_, accountId) => ({ accountId, claims: () => person(accountId) }),
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    scopes: ['openid', 'offline_access', ...scope.split(' ')],
    extraTokenClaims(_, token) {
      const { sub, ...claims } = token.accountId ? person(token.accountId) : {};
      return claims;
    },
    responseTypes: ['code', 'id_token', 'code id_token'],
    clientAuthMethods: ['client_secret_basic', ...secure ? ['tls_client_auth', 'self_signed_tls_client_auth'] : []],
    rotateRefreshToken: true,
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_, asking) => asking.clientId === 'gateway' },
      revocation: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo },
      dPoP: { enabled: true, nonceSecret: secret, requireNonce: () => true },
      jwtUserinfo: { enabled: true }, // signed, as the client web wants it
      mTLS: {
        enabled: secure, certificateBoundAccessTokens: true, tlsClientAuth: true, selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, _, expected) =>
          ctx.socket.getPeerX509Certificate().subjectAltName.split(', ').includes(`URI:${expected}`),
      },
    },
  };
}
