import { describe, expect, it } from 'vitest';
import { Railway } from './timetable.ts';

describe('Railway', () => {
  it('lists the trains that go on from a station, later the further it is', () => {
    const departures = new Railway().departures('Harbour', 9);
    expect(departures.map(({ train, at }) => `${train} ${at}`)).toEqual(['E40 09:26', 'R14 09:41', 'E42 09:56']);
  });

  it('carries minutes into the next hour and day', () => {
    expect(new Railway().stops('E42', 23)?.at(-1)).toEqual({ station: 'Northfield', at: '00:04' });
  });

  it('remembers signals and cancelled trains', () => {
    const railway = new Railway();
    expect(railway.setSignal('S2', 'danger')).toBe('clear');
    expect(railway.signals()['S2']).toBe('danger');
    expect(railway.setSignal('S99', 'danger')).toBeUndefined();
    expect(railway.cancel('E40')).toBe(true);
    expect(railway.departures('Eastgate', 9).find(({ train }) => train === 'E40')?.cancelled).toBe(true);
  });
});
