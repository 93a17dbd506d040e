import { capabilities, type Capability } from '@signalbox/control-plane/projections';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { type Cell, renderTable } from '../output/table.ts';
import { bootstrapCommand } from './external-bootstrap.ts';

/** `external`: proxies of others that take their configuration from here. */
export function externalCommand(cli: Cli): Command {
  return new Command('external')
    .description('Proxies that are not ours: what they can do, and how to start them.')
    .addCommand(capabilitiesCommand(cli))
    .addCommand(bootstrapCommand(cli))
    .addHelpText(
      'after',
      examples(
        ['signalbox external capabilities', 'which feature works on which data plane'],
        ['signalbox external bootstrap envoy --gateway edge > envoy.yaml', 'a file to start a stock Envoy with'],
        ['signalbox external bootstrap agentgateway --gateway edge > agentgateway.env', 'its environment'],
      ),
    );
}

function capabilitiesCommand(cli: Cli): Command {
  return new Command('capabilities')
    .description('Show which feature works on which data plane. A gateway lists its data planes in spec.dataPlanes.')
    .addOption(outputOption())
    .addHelpText('after', examples(['signalbox external capabilities -o json', 'for a script']))
    .action(({ output }: { readonly output: Format }) => {
      const matrix = capabilities();
      const data = matrix.map(({ feature, planes }) => ({ feature, ...planes }));
      return emit(cli, output, {
        data,
        table: (style) => renderTable(['feature', ...planesOf(matrix), 'note'], matrix.map(rowOf), style),
      });
    });
}

function planesOf([first]: readonly Capability[]): readonly string[] {
  return Object.keys(first?.planes ?? {});
}

function rowOf({ feature, planes }: Capability): readonly Cell[] {
  const colour = { yes: 'good', partly: 'doubtful', no: 'bad' } as const;
  const notes = Object.entries(planes).filter(([, { note }]) => note !== '');
  return [
    feature,
    ...Object.values(planes).map(({ support }): Cell => ({ text: support, as: colour[support] })),
    notes.map(([plane, { note }]) => `${plane}: ${note}`).join('. '),
  ];
}
