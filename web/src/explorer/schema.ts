// The messages between server and front end: written by web/make_schema.py from explorer/messages/, not by hand.

export interface AtlasCell {
  grid: number;
  row: number;
  column: number;
  ink: string;
  count: number;
  classes: string[];
  leads: number[];
  examples: number[];
}

export interface AtlasCrop {
  id: string;
  number: number;
  label: string;
}

export interface AtlasPage {
  layers: string[];
  layer: string;
  vectors: number;
  images: number;
  agreement: number;
  grids: number[];
  cells: AtlasCell[];
  crops: AtlasCrop[];
  side: number;
  crop: number;
  page: number;
  pictures: number;
  crop_sheets: number;
  legend: Record<string, string>;
  unframed: number;
  damaged: DamagedRecord[];
  commands: Commands;
}

export interface ClassConcepts {
  key: string;
  class_name: string;
  images: number;
  logit: number;
  explained: number;
  made: boolean;
  maps: number;
  concepts: ConceptSummary[];
  commands: Commands;
}

export interface ConceptExemplar {
  id: string;
  number: number;
}

export interface ConceptSummary {
  loss: number;
  share: number;
  stability: number | null;
  exemplars: ConceptExemplar[];
}

export interface LayerConcepts {
  classes: ClassConcepts[];
  damaged: DamagedRecord[];
  commands: Commands;
}

export interface AnswerCount {
  name: string;
  count: number;
}

export interface AuditOutlook {
  least: number;
  judged: AnswerCount[];
  few: AnswerCount[];
  one_sided: AnswerCount | null;
  others_lacking: number;
}

export interface AuditProgress {
  task: string;
  done: number;
  total: number;
  audit: AuditSummary | null;
  commands: Commands | null;
}

export interface ClassSelectivityOfUnit {
  unit: string;
  auc: number;
}

export interface MapPage {
  count: number;
  numbers: number[];
  method: string;
  quality: Record<string, number>;
  side: number;
  page: number;
  pages: number;
  neighbours: number;
  labels: number[];
  predictions: number[];
  wrong: boolean[];
  ids: string[];
  classes: string[];
  colours: string[];
  damaged: DamagedRecord[];
  commands: Commands;
}

export interface MeanHeatAnswer {
  count: number;
  top: number[];
  left: number[];
  patch: number[];
  size: number[];
  mean: number[][];
  commands: Commands;
}

export interface MeanHeatQuestion {
  images: number[];
  patch: number;
  stride: number;
  fill: string;
  view: string;
  network: number;
}

export interface Mistakes {
  label: string;
  prediction: string;
  count: number;
  share: number;
}

export interface Selection {
  images: number[];
}

export interface SelectionPage {
  count: number;
  labels: ClassProbability[];
  wrong: number;
  mistakes: Mistakes[];
  units: ClassSelectivityOfUnit[];
  audit: AuditOutlook;
  commands: Commands;
}

export interface ActivationMaps {
  layer: string;
  units: string[];
  rows: number;
  columns: number;
  low: number[];
  high: number[];
  values: string;
  commands: Commands;
}

export interface ClassProbability {
  name: string;
  index: number;
  probability: number;
}

export interface ImageCard {
  number: number;
  id: string;
  label: string;
  prediction: string;
  wrong: boolean | null;
  other: string;
}

export interface ImagePage {
  name: string;
  id: string;
  label: string;
  prediction: string;
  wrong: boolean | null;
  size: number[];
  probabilities: ClassProbability[];
  neighbours: Neighbour[];
  point: number[];
  kept: boolean;
  occluded: boolean;
  commands: Commands;
}

export interface ImageSearch {
  total: number;
  images: ImageCard[];
}

export interface Neighbour {
  number: number;
  id: string;
  label: string;
  prediction: string;
  wrong: boolean | null;
  distance: number;
}

export interface AuditSummary {
  overall: ClassVerdict;
  classes: ClassVerdict[];
  page: string;
}

export interface ClassVerdict {
  name: string;
  word: string;
  text: string;
  findings: string[];
}

export interface LayerSummary {
  name: string;
  kind: string;
  channels: number;
  rows: number;
  columns: number;
  recorded: boolean;
  dead: number[];
}

export interface NetworkPage {
  name: string;
  source: string;
  preprocessing: string[];
  parameters: number | null;
  accuracy: number | null;
  labelled: number;
  confusion: number[][];
  layers: LayerSummary[];
  audit: AuditSummary | null;
  damaged: DamagedRecord[];
  commands: Commands;
}

export interface OptimizationFrame {
  step: number;
  steps: number;
  activation: number;
  probabilities: ClassProbability[];
  picture: string;
  gradient: string;
  ended: boolean;
  key: string;
  commands: Commands | null;
}

export interface OptimizationQuestion {
  unit: string;
  start: string;
  style: string;
  prior: string;
  steps: number | null;
  seed: number;
  network: number;
}

export interface DistanceAnswer {
  top: number[];
  left: number[];
  patch: number[];
  distance: number[][];
  neighbour_distance: number;
}

export interface DistanceQuestion {
  image: string;
  patch: number;
  stride: number;
  fill: string;
  view: string;
  network: number;
}

export interface HeatAnswer {
  top: number[];
  left: number[];
  patch: number[];
  drop: number[][];
  clean: number;
  plan: string;
  unit: string;
  fill: string;
  commands: Commands;
}

export interface HeatQuestion {
  image: string;
  unit: string;
  patch: number;
  stride: number;
  fill: string;
  view: string;
  network: number;
}

export interface KeptHeats {
  maps: HeatAnswer[];
  damaged: DamagedRecord[];
}

export interface PatchAnswer {
  probabilities: number[];
  milliseconds: number;
}

export interface PatchQuestion {
  image: string;
  top: number;
  left: number;
  height: number;
  width: number;
  fill: string;
  view: string;
  network: number;
}

export interface Commands {
  python: string;
  shell: string;
}

export interface DamagedRecord {
  record: string;
  message: string;
  hint: string;
}

export interface MakingProgress {
  task: string;
  done: number;
  total: number;
  ended: boolean;
}

export interface NetworkName {
  number: number;
  name: string;
  asks: boolean;
  steps: Record<string, number>;
}

export interface Problem {
  kind: "question" | "not found" | "busy" | "refused" | "damaged";
  message: string;
  hint: string;
}

export interface Session {
  version: string;
  networks: NetworkName[];
  classes: string[];
  class_titles: Record<string, string[]>;
  size: number[];
  images: number;
  given: number;
  source: string;
  asks: boolean;
  read_only: boolean;
  fills: string[];
  styles: string[];
  priors: string[];
  audit: boolean;
  map: boolean;
  atlas: boolean;
}

export interface ClassSelectivity {
  name: string;
  auc: number;
  mean: number;
}

export interface Histogram {
  edges: number[];
  counts: number[];
}

export interface ImageAnswer {
  number: number;
  id: string;
  label: string;
  prediction: string;
  wrong: boolean | null;
  value: number;
  rank: number;
  field: number[];
}

export interface ImagesBetween {
  total: number;
  images: ImageAnswer[];
}

export interface LayerPage {
  layer: LayerSummary;
  units: UnitSummary[];
  damaged: DamagedRecord[];
  commands: Commands;
}

export interface UnitFound {
  unit: string;
  auc: number;
  auc_held_out: number | null;
  recall: number | null;
  alone: boolean | null;
}

export interface UnitLink {
  unit: string;
  strength: number;
}

export interface UnitPage {
  unit: string;
  layer: string;
  number: number;
  dead: boolean;
  optimized: string[];
  optimized_from: string[];
  most: ImageAnswer[];
  least: ImageAnswer[];
  histogram: Histogram;
  classes: ClassSelectivity[];
  alike: UnitLink[];
  alike_by_weights: UnitLink[];
  fed_by: UnitLink[];
  feeds: UnitLink[];
  damaged: DamagedRecord[];
  commands: Commands;
}

export interface UnitsFound {
  class_name: string;
  units: UnitFound[];
  tested: boolean;
  held_out: number;
  alone: string[];
  commands: Commands;
}

export interface UnitSummary {
  unit: string;
  number: number;
  dead: boolean;
  class_name: string;
  selectivity: number | null;
  answered: number;
  maximum: number;
  strongest: number;
  field: number[];
  optimized: string;
  likeness: number | null;
}
