import { integer } from '@signalbox/runtime';

/** What can be set about how a node tells the control plane how it does. */
export const healthSettings = {
  reportMs: integer({
    name: 'SIGNALBOX_PROXY_REPORT_INTERVAL',
    ...{ unit: 'ms', min: 1, max: 86_400_000, fallback: '10000' },
    doc: 'How often the control plane is asked whether it wants to know how this node does, until it says otherwise.',
  }),
  reportTenants: integer({
    name: 'SIGNALBOX_PROXY_REPORT_TENANTS',
    ...{ unit: 'tenants', min: 1, max: 1_000_000, fallback: '1000' },
    doc: 'Tenants of which outcomes are counted for the control plane; with more, those are forgotten that were counted first.',
  }),
  reportMembers: integer({
    name: 'SIGNALBOX_PROXY_REPORT_MEMBERS',
    ...{ unit: 'members', min: 1, max: 1_000, fallback: '200' },
    doc: 'Members of virtual servers of which the control plane is told how they do; with more, those that do well are left out first.',
  }),
};
