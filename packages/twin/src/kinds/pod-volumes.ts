import type { ObjectMeta, Volume } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { backstepErrors, downwardItemErrors } from "./container-environment.ts";
import { dns1123SubdomainProblems, subdomainName } from "./name-checks.ts";
import { dnsLabelErrors, invalidFor, labelsErrors, oneOf, quantityOf, textOf } from "./value-checks.ts";

type Projection = NonNullable<NonNullable<Volume["projected"]>["sources"]>[number];
type KeyItem = NonNullable<NonNullable<Volume["secret"]>["items"]>[number];

/** `validateLocalDescendingPath`: relative, and never up. */
export const descendingPathErrors = (path: string, field: string): FieldError[] => [
  ...(path.startsWith("/") ? [fieldErrors.invalid(field, path, "must be a relative path")] : []),
  ...backstepErrors(path, field),
];

/** `ValidateLocalNonReservedPath`: names with two dots in front are the kubelet's. */
const ownPathErrors = (path: string, field: string): FieldError[] => [
  ...descendingPathErrors(path, field),
  ...(path.startsWith("..") && !path.startsWith("../")
    ? [fieldErrors.invalid(field, path, "must not start with '..'")]
    : []),
];

const modeErrors = (mode: number | undefined, field: string): FieldError[] =>
  mode === undefined || (mode >= 0 && mode <= 0o777)
    ? []
    : [fieldErrors.invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")];

const requiredText = (value: string | undefined, field: string): FieldError[] =>
  value ? [] : [fieldErrors.required(field)];

const keyItemErrors = ({ key, path, mode }: KeyItem, field: string): FieldError[] => [
  ...requiredText(key, `${field}.key`),
  ...requiredText(path, `${field}.path`),
  ...ownPathErrors(path ?? "", `${field}.path`),
  ...modeErrors(mode, `${field}.mode`),
];

const keyItemsErrors = (items: readonly KeyItem[] | undefined, field: string): FieldError[] =>
  (items ?? []).flatMap((item, index) => keyItemErrors(item, `${field}[${index}]`));

type DownwardItem = NonNullable<NonNullable<Volume["downwardAPI"]>["items"]>[number];

const downwardErrors = (item: DownwardItem, field: string): FieldError[] => [
  ...requiredText(item.path, `${field}.path`),
  ...ownPathErrors(item.path ?? "", `${field}.path`),
  ...downwardItemErrors(item, field),
  ...modeErrors(item.mode, `${field}.mode`),
];

function projectionErrors(source: Projection, field: string, root: string, paths: Set<string>): FieldError[] {
  const errors: FieldError[] = [];
  const claimPath = (path: string | undefined, value: string | undefined): void => {
    if (!path) return;
    if (paths.has(path)) errors.push(fieldErrors.invalid(root, value ?? "", "conflicting duplicate paths"));
    paths.add(path);
  };
  for (const kind of ["secret", "configMap"] as const) {
    const part = source[kind];
    if (!part) continue;
    errors.push(...requiredText(part.name, `${field}.${kind}.name`));
    for (const [index, item] of (part.items ?? []).entries()) {
      errors.push(...keyItemErrors(item, `${field}.${kind}.items[${index}]`));
      claimPath(item.path, part.name);
    }
  }
  for (const item of source.downwardAPI?.items ?? []) {
    errors.push(...downwardErrors(item, `${field}.downwardAPI`));
    claimPath(item.path, item.path);
  }
  const token = source.serviceAccountToken;
  if (token) {
    const seconds = token.expirationSeconds ?? 0;
    const at = `${field}.serviceAccountToken.expirationSeconds`;
    if (seconds < 600) {
      errors.push(fieldErrors.invalid(at, seconds, "may not specify a duration less than 10 minutes"));
    }
    if (seconds > 2 ** 32) {
      errors.push(fieldErrors.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    errors.push(...(token.path ? ownPathErrors(token.path, `${root}.path`) : [fieldErrors.required(`${root}.path`)]));
  }
  const given = [source.secret, source.configMap, source.downwardAPI, token].filter(Boolean).length;
  if (given > 1) errors.push(fieldErrors.forbidden(field, "may not specify more than 1 volume type per source"));
  return errors;
}

const hostPathTypes = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];
const pullPolicies = ["Always", "IfNotPresent", "Never"];
const claimModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

function ephemeralErrors(volume: NonNullable<Volume["ephemeral"]>, field: string): FieldError[] {
  const template = volume.volumeClaimTemplate;
  const at = `${field}.volumeClaimTemplate`;
  if (!template) return [fieldErrors.required(at)];
  const errors = labelsErrors(template.metadata?.labels, `${at}.metadata.labels`);
  for (const key of Object.keys(template.metadata ?? {})) {
    if (key !== "labels" && key !== "annotations") {
      errors.push(fieldErrors.forbidden(`${at}.metadata.${key}`, "cannot be set"));
    }
  }
  const modes = template.spec?.accessModes ?? [];
  if (modes.length === 0) {
    errors.push(fieldErrors.required(`${at}.spec.accessModes`, "at least 1 access mode is required"));
  }
  for (const mode of modes) {
    if (!claimModes.includes(mode)) errors.push(fieldErrors.notSupported(`${at}.spec.accessModes`, mode, claimModes));
  }
  const storage = template.spec?.resources?.requests?.["storage"];
  if (storage === undefined) errors.push(fieldErrors.required(`${at}.spec.resources[storage]`));
  else if (quantityOf(storage).sign <= 0) {
    errors.push(fieldErrors.invalid(`${at}.spec.resources[storage]`, storage, "must be greater than zero"));
  }
  return errors;
}

const qualifiedTarget = /iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$/;

function iscsiNameErrors(name: string, field: string): FieldError[] {
  const kind = ["iqn", "eui", "naa"].find((prefix) => name.startsWith(prefix));
  if (kind === undefined) {
    return [fieldErrors.invalid(field, name, "must be valid format starting with iqn, eui, or naa")];
  }
  const wellFormed =
    kind === "iqn"
      ? qualifiedTarget.test(name)
      : kind === "eui"
        ? /^eui.[A-Za-z0-9]{16}$/.test(name)
        : /^naa.[A-Za-z0-9]{32}$/.test(name);
  return wellFormed ? [] : [fieldErrors.invalid(field, name, "must be valid format")];
}

function iscsiErrors(source: NonNullable<Volume["iscsi"]>, field: string): FieldError[] {
  const { targetPortal, iqn, lun, initiatorName } = source;
  return [
    ...requiredText(targetPortal, `${field}.targetPortal`),
    ...(iqn ? iscsiNameErrors(iqn, `${field}.iqn`) : [fieldErrors.required(`${field}.iqn`)]),
    ...(lun < 0 || lun > 255 ? [fieldErrors.invalid(`${field}.lun`, lun, "must be between 0 and 255, inclusive")] : []),
    ...((source.chapAuthDiscovery === true || source.chapAuthSession === true) && !source.secretRef
      ? [fieldErrors.required(`${field}.secretRef`)]
      : []),
    ...(initiatorName === undefined ? [] : iscsiNameErrors(initiatorName, `${field}.initiatorname`)),
  ];
}

/** What one source must be; drivers of old are known by what they cannot do without. */
const sourceChecks: {
  readonly [Name in Exclude<keyof Volume, "name">]?: (
    source: NonNullable<Volume[Name]>,
    field: string,
    isPod: boolean,
  ) => FieldError[];
} = {
  emptyDir: ({ sizeLimit }, field) =>
    sizeLimit !== undefined && quantityOf(sizeLimit).sign < 0
      ? [fieldErrors.forbidden(`${field}.sizeLimit`, "SizeLimit field must be a valid resource quantity")]
      : [],
  hostPath: ({ path, type = "" }, field) =>
    path
      ? [
          ...backstepErrors(path, `${field}.path`),
          ...(hostPathTypes.includes(type) ? [] : [fieldErrors.notSupported(`${field}.type`, type, hostPathTypes)]),
        ]
      : [fieldErrors.required(`${field}.path`)],
  gitRepo: ({ repository, directory = "" }, field) => [
    ...requiredText(repository, `${field}.repository`),
    ...descendingPathErrors(directory, `${field}.directory`),
  ],
  gcePersistentDisk: ({ pdName }, field) =>
    requiredText(pdName, `${field.replace(/gcePersistentDisk$/, "persistentDisk")}.pdName`),
  awsElasticBlockStore: ({ volumeID }, field) => requiredText(volumeID, `${field}.volumeID`),
  secret: ({ secretName, defaultMode, items }, field) => [
    ...requiredText(secretName, `${field}.secretName`),
    ...modeErrors(defaultMode, `${field}.defaultMode`),
    ...keyItemsErrors(items, `${field}.items`),
  ],
  nfs: ({ server, path }, field) => [
    ...requiredText(server, `${field}.server`),
    ...requiredText(path, `${field}.path`),
    ...(path && !path.startsWith("/") ? [fieldErrors.invalid(`${field}.path`, path, "must be an absolute path")] : []),
  ],
  iscsi: (source, field) => iscsiErrors(source, field),
  glusterfs: ({ endpoints, path }, field) => [
    ...requiredText(endpoints, `${field}.endpoints`),
    ...requiredText(path, `${field}.path`),
  ],
  persistentVolumeClaim: ({ claimName }, field) => requiredText(claimName, `${field}.claimName`),
  rbd: ({ monitors, image }, field) => [
    ...((monitors ?? []).length > 0 ? [] : [fieldErrors.required(`${field}.monitors`)]),
    ...requiredText(image, `${field}.image`),
  ],
  cinder: ({ volumeID }, field) => requiredText(volumeID, `${field}.volumeID`),
  cephfs: ({ monitors }, field) => ((monitors ?? []).length > 0 ? [] : [fieldErrors.required(`${field}.monitors`)]),
  downwardAPI: ({ defaultMode, items }, field) => [
    ...modeErrors(defaultMode, `${field}.defaultMode`),
    ...(items ?? []).flatMap((item) => downwardErrors(item, field)),
  ],
  flexVolume: ({ driver }, field) => requiredText(driver, `${field}.driver`),
  configMap: ({ name, defaultMode, items }, field) => [
    ...requiredText(name, `${field}.name`),
    ...modeErrors(defaultMode, `${field}.defaultMode`),
    ...keyItemsErrors(items, `${field}.items`),
  ],
  azureFile: ({ secretName, shareName }, field) => [
    ...requiredText(secretName, `${field}.secretName`),
    ...requiredText(shareName, `${field}.shareName`),
  ],
  vsphereVolume: ({ volumePath }, field) => requiredText(volumePath, `${field}.volumePath`),
  photonPersistentDisk: ({ pdID }, field) => requiredText(pdID, `${field}.pdID`),
  portworxVolume: ({ volumeID }, field) => requiredText(volumeID, `${field}.volumeID`),
  azureDisk: ({ diskName, diskURI }, field) => [
    ...requiredText(diskName, `${field}.diskName`),
    ...requiredText(diskURI, `${field}.diskURI`),
  ],
  projected({ defaultMode, sources }, field) {
    const paths = new Set<string>();
    return [
      ...modeErrors(defaultMode, `${field}.defaultMode`),
      ...(sources ?? []).flatMap((source, index) =>
        projectionErrors(source, `${field}.sources[${index}]`, field, paths),
      ),
    ];
  },
  csi(source, field) {
    const { nodePublishSecretRef } = source;
    const driver = textOf(source.driver);
    if (driver === "") return [fieldErrors.required(`${field}.driver`)];
    const secret = nodePublishSecretRef?.name ?? "";
    return [
      ...(Buffer.byteLength(driver) > 63 ? [fieldErrors.tooLong(`${field}.driver`, 63)] : []),
      ...invalidFor(`${field}.driver`, driver, dns1123SubdomainProblems(driver.toLowerCase())),
      ...(nodePublishSecretRef === undefined
        ? []
        : secret === ""
          ? [fieldErrors.required(`${field}.nodePublishSecretRef.name`)]
          : invalidFor(`${field}.name`, secret, subdomainName(secret, false))),
    ];
  },
  ephemeral: (source, field) => ephemeralErrors(source, field),
  image: ({ reference, pullPolicy }, field, isPod) => [
    ...(isPod ? requiredText(reference, `${field}.reference`) : []),
    ...oneOf(`${field}.pullPolicy`, pullPolicy ?? "", pullPolicies),
  ],
};

/** In the order in which upstream looks at them: the first is the one that counts. */
const sourceNames = Object.keys(sourceChecks) as (keyof typeof sourceChecks)[];
/** Two fields are misspelt upstream when they are one too many. */
const misspelt: Readonly<Record<string, string>> = { downwardAPI: "downwarAPI", cephfs: "cephFS" };

function sourceErrors(volume: Volume, field: string, isPod: boolean): FieldError[] {
  const given = sourceNames.filter((name) => volume[name] !== undefined);
  const others = Object.keys(volume).some((name) => name !== "name" && !given.some((one) => one === name));
  if (given.length === 0) return others ? [] : [fieldErrors.required(field, "must specify a volume type")];
  return given.flatMap((name, index) => {
    if (index > 0) {
      return [fieldErrors.forbidden(`${field}.${misspelt[name] ?? name}`, "may not specify more than 1 volume type")];
    }
    const check = sourceChecks[name] as (source: unknown, at: string, pod: boolean) => FieldError[];
    return check(volume[name], `${field}.${name}`, isPod);
  });
}

/** `ValidateVolumes`; only what is well formed can be mounted. */
export function volumesErrors(
  volumes: readonly Volume[] | undefined,
  metadata: ObjectMeta | undefined,
  field: string,
): { readonly errors: FieldError[]; readonly valid: ReadonlyMap<string, Volume> } {
  const valid = new Map<string, Volume>();
  const errors: FieldError[] = [];
  const podName = metadata?.name ?? "";
  const created = new Set(
    podName === "" ? [] : (volumes ?? []).filter(({ ephemeral }) => ephemeral).map(({ name }) => `${podName}-${name}`),
  );
  for (const [index, volume] of (volumes ?? []).entries()) {
    const at = `${field}[${index}]`;
    const own = sourceErrors(volume, at, metadata !== undefined);
    if (volume.ephemeral && podName !== "" && volume.name) {
      const claim = `${podName}-${volume.name}`;
      for (const problem of dns1123SubdomainProblems(claim)) {
        own.push(fieldErrors.invalid(`${at}.name`, volume.name, `PVC name ${JSON.stringify(claim)}: ${problem}`));
      }
    }
    own.push(...(volume.name ? dnsLabelErrors(`${at}.name`, volume.name) : [fieldErrors.required(`${at}.name`)]));
    if (valid.has(volume.name)) own.push(fieldErrors.duplicate(`${at}.name`, volume.name));
    if (own.length === 0) valid.set(volume.name, volume);
    errors.push(...own);
    const claimed = volume.persistentVolumeClaim?.claimName;
    if (claimed !== undefined && created.has(claimed)) {
      errors.push(
        fieldErrors.invalid(
          `${at}.persistentVolumeClaim.claimName`,
          claimed,
          "must not reference a PVC that gets created for an ephemeral volume",
        ),
      );
    }
  }
  return { errors, valid };
}
