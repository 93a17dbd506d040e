export { CertificateAuthority, type IssueRequest, makeAuthority, type NewAuthority } from './authority.ts';
export {
  createSigningRequest,
  type PrivateIdentity,
  readSigningRequest,
  type SigningRequest,
} from './signing-request.ts';
export { type NodeName, nodeUri, parseNodeUri, subjectUris } from './spiffe.ts';
