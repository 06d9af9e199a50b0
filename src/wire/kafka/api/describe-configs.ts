import { defineHandler } from "../api.ts";
import { resourceToRead } from "../configs/resources.ts";
import { RESOURCES, type ShownConfig, SOURCES } from "../configs/values.ts";
import { partRefusal } from "../errors.ts";
import { describeConfigs } from "../schemas/describe-configs.ts";

/** What topics, brokers and groups are set to, and by whom. */
export const describeConfigsHandler = defineHandler({
  api: describeConfigs,
  handle({ resources, includeSynonyms, includeDocumentation }, { peer }) {
    const results = resources.map(({ resourceType, resourceName, configurationKeys }) => {
      const asked = configurationKeys === null || configurationKeys.length === 0 ? null : configurationKeys;
      try {
        const shown = resourceToRead(peer, resourceType, resourceName).show();
        const configs = shown
          .filter(({ name }) => asked === null || asked.includes(name))
          .map((config) => shownAs(config, resourceType, includeSynonyms, includeDocumentation));
        return { resourceType, resourceName, errorMessage: null, configs };
      } catch (error) {
        return { resourceType, resourceName, ...partRefusal(error) };
      }
    });
    return { results };
  },
});

function shownAs(config: ShownConfig, resourceType: number, synonyms: boolean, documentation: boolean) {
  const { name, value, source, type, readOnly } = config;
  // Version 0 knows of topics no more than whether they set something.
  const isDefault = resourceType === RESOURCES.TOPIC ? source !== SOURCES.TOPIC : source === SOURCES.DEFAULT;
  return {
    name,
    value,
    readOnly,
    isDefault,
    configSource: source,
    isSensitive: false,
    synonyms: synonyms ? config.synonyms : [],
    configType: type,
    documentation: documentation ? config.documentation : null,
  };
}
